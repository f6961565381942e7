"""A stream in chunks of any size against the whole recording."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from deepspeech2.decoding import BeamSearchDecoder, Decoder, GreedyDecoder
from deepspeech2.errors import AudioError, ConfigError
from deepspeech2.inference import Recognizer, StreamingRecognizer
from deepspeech2.inference.calibration import Calibration
from deepspeech2.inference.long import PART
from deepspeech2.model import DeepSpeech2
from deepspeech2.pipeline import Pipeline
from deepspeech2.text import SubwordEncoder, TextEncoder, Tokenizer
from deepspeech2.transforms import (
    FrontEnd,
    GlobalNormalization,
    LogMelSpectrogram,
    UtteranceNormalization,
)
from deepspeech2.types import Hypothesis, Padded

ENCODER = TextEncoder(" ab")
PIECES = SubwordEncoder(["\u2581a", "b", "\u2581b", "ab", "\u2581", "a"])
RATE = 16000


def noise(seconds: float) -> Tensor:
    generator = torch.Generator().manual_seed(round(1000 * seconds))
    loud = torch.rand(round(seconds * 5) + 1, generator=generator).repeat_interleave(RATE // 5)
    count = round(seconds * RATE)
    return 0.3 * loud[:count] * torch.randn(count, generator=generator).clamp(-3, 3)


def recognizer(
    decoder: type[Decoder] = GreedyDecoder,
    normalization: nn.Module | None = None,
    bidirectional: bool = False,
    encoder: Tokenizer = ENCODER,
) -> Recognizer:
    """With random weights, which say much and change their mind often."""
    torch.manual_seed(1)
    network = DeepSpeech2(
        16,
        encoder.n_tokens,
        conv_channels=[4, 4],
        conv_kernels=[[5, 7], [5, 5]],
        conv_strides=[[2, 2], [2, 2]],
        rnn_layers=2,
        rnn_size=16,
        bidirectional=bidirectional,
        lookahead=0 if bidirectional else 5,
    )
    network.output.weight.data.normal_(std=3.0)
    fitted = normalization or GlobalNormalization([-8.0] * 16, [3.0] * 16)
    front_end = FrontEnd(LogMelSpectrogram(hop_length=160, n_mels=16), fitted)
    pipeline = Pipeline(front_end, network)
    with torch.no_grad():
        for _ in range(40):  # statistics that fit, or one token wins everywhere
            pipeline.emissions(Padded.stack([noise(4.0)]))
    return Recognizer(pipeline, encoder, decoder(encoder), torch.device("cpu"))


@cache
def streaming(
    decoder: type[Decoder] = GreedyDecoder, encoder: Tokenizer = ENCODER
) -> StreamingRecognizer:
    return StreamingRecognizer(recognizer(decoder, encoder=encoder))


def test_a_long_recording_is_decoded_in_parts_of_ten_seconds() -> None:
    ours = recognizer(normalization=UtteranceNormalization(), bidirectional=True)
    parts = ours.listen(lambda: [noise(35.0).numpy()], [ours.decoder])
    seconds = [ours.seconds_per_frame * (span.end - span.start) for span in parts.spans]
    assert sum(seconds) == pytest.approx(35.0, abs=0.1)
    assert max(seconds) <= PART
    assert max(seconds) > PART / 2


@settings(max_examples=25)
@given(seconds=st.floats(0.001, 3.0), data=st.data())
@pytest.mark.parametrize("decoder", [GreedyDecoder, BeamSearchDecoder])
@pytest.mark.parametrize("encoder", [ENCODER, PIECES], ids=["characters", "pieces"])
def test_chunks_give_the_transcript_of_the_whole(
    encoder: Tokenizer, decoder: type[Decoder], seconds: float, data: st.DataObject
) -> None:
    samples = noise(max(seconds, 1 / RATE))
    ends = sorted(data.draw(st.lists(st.integers(0, len(samples)), max_size=12)))
    stream = streaming(decoder, encoder)
    state = stream.start()
    texts = []
    for first, end in pairwise((0, *ends, len(samples))):
        state = stream.hear(state, samples[first:end])
        texts.append(state.text)
    for earlier, later in pairwise(texts):
        assert later.startswith(earlier)  # nothing is taken back
    whole = stream.recognizer.transcribe(samples)
    found = stream.finish(state)
    assert found.text == whole.text
    assert found.duration == whole.duration
    for ours, theirs in zip(found.words, whole.words, strict=True):
        assert (ours.word, ours.start, ours.end) == (theirs.word, theirs.start, theirs.end)
        assert ours.confidence == pytest.approx(theirs.confidence, abs=1e-4)
    if decoder is GreedyDecoder:
        assert whole.text.startswith(texts[-1])


@pytest.mark.parametrize("chunk", [320, 1600, 8000])
def test_every_frame_is_that_of_the_whole(chunk: int) -> None:
    stream = streaming()
    samples = noise(4.0)
    state = stream.start()
    for first in range(0, len(samples), chunk):
        state = stream.hear(state, samples[first : first + chunk].numpy())
    expected = stream.recognizer.emissions(samples).data[0]
    found = stream.emissions(state)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert torch.equal(found.argmax(1), expected.argmax(1))


class Attentive(GreedyDecoder):
    """Notes how many frames it is given at a time."""

    given: ClassVar[list[list[int]]] = []

    def __call__(self, log_probs: Padded) -> list[list[Hypothesis]]:
        self.given.append(log_probs.lengths.tolist())
        return super().__call__(log_probs)


def test_a_decoder_is_given_what_it_is_given_of_the_whole() -> None:
    """In one, as long as the whole is: a language model hears no end where there is none."""
    stream = streaming(Attentive)
    samples = noise(14.0)
    Attentive.given.clear()
    stream.finish(stream.hear(stream.start(), samples))
    stream.recognizer.transcribe(samples)
    streamed, whole = Attentive.given
    assert streamed == whole
    assert len(streamed) == 1


def test_several_recordings_are_heard_in_batches_of_bounded_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("deepspeech2.inference.recognizer.TOGETHER", 4.0)
    stream = streaming(Attentive)
    lengths = [1.5, 0.2, 0.9, 3.0, 0.4, 5.0, 0.7, 1.1]  # s
    Attentive.given.clear()
    found = stream.recognizer.transcribe([noise(seconds) for seconds in lengths])
    sizes = [max(each) * len(each) for each in Attentive.given]
    a_second = 1 / stream.recognizer.seconds_per_frame
    assert sum(map(len, Attentive.given)) == len(lengths)
    assert max(sizes) <= 5.0 * a_second + 1  # the longest goes by itself
    assert sorted(sizes)[-2] <= 4.0 * a_second + 8
    for seconds, transcript in zip(lengths, found, strict=True):
        assert transcript.duration == pytest.approx(seconds)
        assert transcript.text == stream.recognizer.transcribe(noise(seconds)).text


def test_words_grow_and_carry_their_times() -> None:
    stream = streaming()
    samples = noise(3.0)
    state = stream.hear(stream.start(), samples)
    heard, final = stream.words(state), stream.finish(state).words
    assert len(heard) >= 3
    assert heard[:-1] == final[: len(heard) - 1]
    for first, word in enumerate(heard):
        assert stream.words(state, start=word.start) == heard[first:]


def test_words_on_the_way_have_the_best_paths_confidences() -> None:
    made = recognizer(BeamSearchDecoder)
    greedy, beam = Calibration(2.0, -0.5), Calibration(0.5, 1.0)
    parts = (made.pipeline, ENCODER, made.decoder, made.device)
    stream = StreamingRecognizer(Recognizer(*parts, confidence=beam, confidence_greedy=greedy))
    state = stream.hear(stream.start(), noise(3.0))
    raw = streaming().words(streaming().hear(streaming().start(), noise(3.0)))
    assert stream.words(state) == greedy.words(raw) != beam.words(raw)
    alone = stream.recognizer.greedy()
    assert (alone.decoder.name, alone.confidence) == ("Argmax", greedy)


def test_frames_come_within_the_latency() -> None:
    stream = streaming()
    samples = noise(2.0)
    state = stream.hear(stream.start(), samples)
    complete = 1 + int((2.0 - stream.latency) / stream.recognizer.seconds_per_frame)
    assert state.n_frames >= complete
    assert stream.latency < 0.35


def test_a_stream_that_is_finished_or_empty() -> None:
    stream = streaming()
    with pytest.raises(AudioError, match="at least one sample"):
        stream.finish(stream.start())
    state = stream.hear(stream.start(), np.zeros(400))
    assert stream.finish(state) == stream.finish(state)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((2, 3)), "must be floats"),
        (np.zeros(3, np.int16), "must be floats"),
        (np.array([0.0, np.nan]), "must be finite"),
    ],
)
def test_samples_that_are_none(samples: np.ndarray, message: str) -> None:
    stream = streaming()
    with pytest.raises(AudioError, match=message):
        stream.hear(stream.start(), samples)


def test_models_that_need_the_end_are_refused() -> None:
    with pytest.raises(ConfigError, match="UtteranceNormalization"):
        StreamingRecognizer(recognizer(normalization=UtteranceNormalization()))
    with pytest.raises(ConfigError, match="both directions"):
        StreamingRecognizer(recognizer(bidirectional=True))
