"""Windows against the whole: every frame is there once, and parts end between words."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from deepspeech2.audio.blocks import blocks
from deepspeech2.audio.silence import Levels, Span, cut
from deepspeech2.decoding import GreedyDecoder
from deepspeech2.inference import long
from deepspeech2.inference.long import joined, long_emissions, parts_to_decode, windows
from deepspeech2.text import TextEncoder
from deepspeech2.types import Hypothesis, Padded

ENCODER = TextEncoder()
RATE = 16000
STEP = 640


def spans_of(*ends: int) -> list[Span]:
    return [Span(a, b) for a, b in zip((0, *ends[:-1]), ends, strict=True)]


@pytest.mark.parametrize("n_blocks", [1, 3, 40])
def test_windows_hold_their_piece_and_its_margins(n_blocks: int) -> None:
    samples = np.arange(1000, dtype=np.float32)
    spans = spans_of(30, 70, 75, 99, 100)
    found = list(windows(np.array_split(samples, n_blocks), spans, 10, 12))
    assert [window.span for window in found] == spans
    for window in found:
        first = max(0, window.span.start - 12)
        assert window.first == first
        expected = samples[first * 10 : (window.span.end + 12) * 10]
        np.testing.assert_array_equal(window.waveform.numpy(), expected)


def local_network(reach: int) -> Callable[[Padded], Padded]:
    """Frame t depends on ``reach`` frames of samples on either side of it, and on nothing else."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(ENCODER.n_tokens, 1, 2 * reach * STEP, generator=generator)

    def network(waveforms: Padded) -> Padded:
        data = torch.nn.functional.pad(waveforms.masked().data, (reach * STEP, reach * STEP))
        found = torch.nn.functional.conv1d(data[:, None], weight, stride=STEP).transpose(1, 2)
        return Padded(found, waveforms.lengths // STEP + 1).masked()

    return network


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """41.3 s of noise that comes and goes."""
    draw = np.random.default_rng(3)
    time = np.arange(round(41.3 * RATE)) / RATE
    samples = 0.1 * draw.standard_normal(len(time)) * np.sin(2 * np.pi * time / 3) ** 2
    path = tmp_path / "long.wav"
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    return path


@pytest.mark.parametrize("max_segment", [2.5, 9.0, 100.0])
@pytest.mark.parametrize(("offset", "duration"), [(0.0, None), (3.1, 30.07)])
def test_windows_joined_are_the_whole(
    recording: Path, max_segment: float, offset: float, duration: float | None
) -> None:
    network = local_network(round(long.MARGIN * RATE / STEP))
    heard: list[float] = []
    whole = partial(blocks, recording, offset=offset, duration=duration)
    found = long_emissions(
        whole(),
        cut(whole(), Levels(RATE, STEP), max_segment),
        network,
        sample_rate=RATE,
        step=STEP,
        on_progress=heard.append,
    )
    samples = soundfile.read(recording, dtype="float32")[0][round(offset * RATE) :]
    samples = samples[: None if duration is None else round(duration * RATE)]
    expected = network(Padded.stack([torch.from_numpy(samples)])).data[0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert sum(heard) == pytest.approx(len(samples) / RATE, abs=STEP / RATE)


def emitted(text: str, blanks: int = 0) -> Tensor:
    """(T, V): one frame a character, each followed by ``blanks`` blanks."""
    labels = [label for each in ENCODER.encode(text) for label in (each, *(0,) * blanks)]
    log_probs = torch.full((len(labels), ENCODER.n_tokens), -9.0)
    log_probs[torch.arange(len(labels)), labels] = -0.01
    return log_probs


@pytest.mark.parametrize("blanks", [0, 1, 5])
def test_parts_end_between_words_and_join_to_the_whole(
    blanks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long, "PART", 1.0)  # 25 frames
    draw = np.random.default_rng(blanks)
    words = ["".join(draw.choice(list("abcde"), draw.integers(1, 4))) for _ in range(80)]
    text = " ".join(word[0] + word[1:].replace(word[0], "x") for word in words)
    text = "".join(c for c, d in zip(text, " " + text, strict=False) if c != d)
    log_probs = emitted(text, blanks)
    spans = parts_to_decode(log_probs, ENCODER, 25.0)
    assert all(0 < span.end - span.start <= 25 for span in spans)
    assert [span.start for span in spans] == [0, *(span.end for span in spans[:-1])]
    assert spans[-1].end == len(log_probs)
    decoder = GreedyDecoder(ENCODER)
    parts = Padded.stack([log_probs[span.start : span.end] for span in spans])
    together = joined(
        [(span, nbest[0]) for span, nbest in zip(spans, decoder(parts), strict=True)],
        ENCODER,
    )
    whole = decoder(Padded.stack([log_probs]))[0][0]
    assert together.text == whole.text == text
    assert together.frames == tuple(sorted(together.frames))
    at = {frame: label for frame, label in zip(whole.frames, whole.labels, strict=True)}
    for frame, label in zip(together.frames, together.labels, strict=True):
        assert label == ENCODER.space or at[frame] == label


def test_a_word_without_end_is_cut_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long, "PART", 1.0)
    spans = parts_to_decode(emitted("ab" * 40), ENCODER, 25.0)
    assert max(span.end - span.start for span in spans) <= 25


def test_joined_counts_frames_from_the_start_and_leaves_out_silence() -> None:
    one = Hypothesis("ab", -1.0, (3, 4), (1, 2), (0.9, 0.8))
    none = Hypothesis("", -0.1, (), (), ())
    two = Hypothesis("c", -2.0, (5,), (0,), (0.7,))
    spans = spans_of(10, 30, 42)
    found = joined(list(zip(spans, (one, none, two), strict=True)), ENCODER)
    assert found.text == "ab c"
    assert found.labels == (3, 4, ENCODER.space, 5)
    assert found.frames == (1, 2, 30, 30)
    assert found.score == pytest.approx(-3.1)
    assert found.confidences == (0.9, 0.8, 1.0, 0.7)


def test_without_a_space_nothing_stands_between_parts() -> None:
    parts = [Hypothesis("ab", -1.0, (1, 2), (0, 1), (0.9, 0.9)), Hypothesis("c", -1.0, (3,), (0,))]
    found = joined(list(zip(spans_of(10, 20), parts, strict=True)), TextEncoder("abc"))
    assert (found.text, found.labels) == ("abc", (1, 2, 3))
