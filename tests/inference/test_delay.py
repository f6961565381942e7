"""The delay of a network: what a made-up network has is found."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from deepspeech2.datasets.spoken import SAMPLE_RATE, word_times
from deepspeech2.datasets.spoken.script import Line, script
from deepspeech2.inference.delay import boundaries, emission_delay
from deepspeech2.text import TextEncoder

ENCODER = TextEncoder()
FRAME = 0.04
VALIDATION = [line for line in script() if line.part == "val"]


def marked(line: Line, delay: float, n_frames: int) -> Tensor:
    """(T, V): the characters of every word spread over it, and a space after it, all too late."""
    log_probs = torch.full((n_frames, ENCODER.n_tokens), -9.0)
    log_probs[:, 0] = -5.0
    for word in word_times(line):
        labels = ENCODER.encode(word.text)
        for place, label in enumerate(labels):
            middle = word.start + (word.end - word.start) * (place + 0.5) / len(labels) + delay
            log_probs[min(n_frames - 1, max(0, round(middle / FRAME))), label] = -0.1
        end = round((word.end + delay) / FRAME)
        log_probs[min(n_frames - 1, max(0, end)), ENCODER.space] = -0.5
    return log_probs


def network(delay: float) -> Callable[[Tensor], Tensor]:
    lines = iter(VALIDATION)
    return lambda waveform: marked(next(lines), delay, int(len(waveform) / SAMPLE_RATE / FRAME) + 1)


def measured(emissions: Callable[[Tensor], Tensor], encoder: TextEncoder = ENCODER) -> float:
    return emission_delay(emissions, encoder, seconds_per_frame=FRAME, sample_rate=SAMPLE_RATE)


@pytest.mark.parametrize("delay", [-0.05, 0.0, 0.09])
def test_a_made_up_delay_is_found(delay: float) -> None:
    assert measured(network(delay)) == pytest.approx(delay, abs=0.01)


def test_an_alphabet_of_capitals() -> None:
    capitals = TextEncoder(ENCODER.alphabet.upper(), case="upper")
    assert measured(network(0.09), capitals) == pytest.approx(0.09, abs=0.01)


def test_what_understands_nothing_has_none() -> None:
    generator = torch.Generator().manual_seed(0)

    def deaf(waveform: Tensor) -> Tensor:
        n_frames = int(len(waveform) / SAMPLE_RATE / FRAME)
        return torch.randn(n_frames, ENCODER.n_tokens, generator=generator).log_softmax(1)

    assert measured(deaf) == 0.0


def test_other_letters_or_too_few_frames_have_none() -> None:
    assert measured(network(0.09), TextEncoder(" abc")) == 0.0
    assert measured(lambda _: torch.zeros(3, ENCODER.n_tokens)) == 0.0


def test_words_must_be_the_same() -> None:
    with pytest.raises(ValueError, match="was said"):
        boundaries([], word_times(VALIDATION[0]))
