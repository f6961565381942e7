"""What is true of prefix beam search for any emissions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepspeech2.decoding import BeamSearchDecoder, GreedyDecoder
from deepspeech2.decoding.beam.cpu import SearchOptions
from deepspeech2.decoding.beam.gpu import search_on_device
from deepspeech2.text import TextEncoder
from deepspeech2.types import Hypothesis, Padded
from tests.decoding.ctc_oracle import all_transcripts

logits = st.floats(-6.0, 6.0, allow_nan=False, width=32)


@st.composite
def emissions(draw: st.DrawFn, *, frames: int = 6, tokens: int = 4) -> Padded:
    """A batch of log-probabilities: at most 3 utterances, ``frames`` frames, ``tokens`` tokens."""
    batch, length = draw(st.integers(1, 3)), draw(st.integers(1, frames))
    n_tokens = draw(st.integers(2, tokens))
    size = batch * length * n_tokens
    values = draw(st.lists(logits, min_size=size, max_size=size))
    lengths = draw(st.lists(st.integers(0, length), min_size=batch, max_size=batch))
    data = torch.tensor(values, dtype=torch.float64).view(batch, length, n_tokens)
    return Padded(data.log_softmax(-1), torch.tensor(lengths))


def encoder(batch: Padded) -> TextEncoder:
    return TextEncoder("abcdefghij"[: batch.data.shape[2] - 1])


def both(batch: Padded, **options: int) -> list[list[list[Hypothesis]]]:
    """What the machine code and the tensors find."""
    return [
        BeamSearchDecoder(encoder(batch), **options)(batch),  # type: ignore[arg-type]
        search_on_device(batch, SearchOptions(**options), encoder(batch)),  # type: ignore[arg-type]
    ]


@settings(max_examples=40)
@given(emissions())
def test_a_beam_that_holds_all_prefixes_is_exhaustive(batch: Padded) -> None:
    for found in both(batch, beam_size=1500, nbest=1500):
        for hypotheses, utterance in zip(found, batch.unpad(), strict=True):
            expected = all_transcripts(utterance)
            assert sum(map(math.exp, expected.values())) == pytest.approx(1.0)
            scores = {each.labels: each.score for each in hypotheses}
            assert scores.keys() == expected.keys()
            assert scores == pytest.approx(expected, abs=1e-6)


@settings(max_examples=60)
@given(emissions(frames=20, tokens=6), st.integers(1, 12))
def test_nbest_are_sorted_distinct_and_no_more_probable_than_all(
    batch: Padded, beam_size: int
) -> None:
    for found in both(batch, beam_size=beam_size, nbest=beam_size):
        for hypotheses in found:
            scores = [each.score for each in hypotheses]
            assert scores == sorted(scores, reverse=True)
            assert len({each.labels for each in hypotheses}) == len(hypotheses) <= beam_size
            assert sum(map(math.exp, scores)) <= 1 + 1e-9


@settings(max_examples=60)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=15), st.integers(1, 8))
def test_one_path_with_all_the_mass_is_found_by_every_beam(path: list[int], beam_size: int) -> None:
    data = torch.full((1, len(path), 4), -40.0, dtype=torch.float64)
    data[0, torch.arange(len(path)), torch.tensor(path)] = 0.0
    batch = Padded(data, torch.tensor([len(path)]))
    [[greedy]] = GreedyDecoder(encoder(batch))(batch)
    for [[best, *_]] in both(batch, beam_size=beam_size):
        assert (best.text, best.labels) == (greedy.text, greedy.labels)
        assert best.score == pytest.approx(0.0, abs=1e-9)


@settings(max_examples=60)
@given(emissions(frames=15, tokens=5), st.integers(1, 6))
def test_alone_as_in_a_batch(batch: Padded, beam_size: int) -> None:
    for index, utterance in enumerate(batch.unpad()):
        alone = Padded(utterance[None], torch.tensor([len(utterance)]))
        decoder = BeamSearchDecoder(encoder(batch), beam_size=beam_size, nbest=beam_size)
        assert decoder(alone)[0] == decoder(batch)[index]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("beam_size", [1, 10, 100])
def test_cuda_finds_what_the_cpu_finds(beam_size: int) -> None:
    random = torch.Generator().manual_seed(beam_size)
    data = (2.5 * torch.randn(16, 200, 29, generator=random)).log_softmax(-1)
    batch = Padded(data, torch.randint(1, 201, (16,), generator=random))
    decoder = BeamSearchDecoder(TextEncoder(), beam_size=beam_size, nbest=min(3, beam_size))
    for there, here in zip(decoder(batch.to("cuda")), decoder(batch), strict=True):
        assert [each.text for each in there] == [each.text for each in here]
        assert [each.score for each in there] == pytest.approx(
            [each.score for each in here], abs=1e-2
        )
