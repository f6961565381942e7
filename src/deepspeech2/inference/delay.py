"""How much later than the sound a network marks it, measured on speech whose times are known."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import numpy as np
import soxr
import torch
from torch import Tensor

from deepspeech2.audio.synthesis_events import SpokenWord
from deepspeech2.datasets.spoken import SAMPLE_RATE, render, word_times
from deepspeech2.datasets.spoken.script import Line, script
from deepspeech2.decoding import Word
from deepspeech2.decoding.align import align
from deepspeech2.text import TextEncoder

_SENTENCES = 24  # three of each voice
_WIDEST = 2  # frames


class Boundary(NamedTuple):
    """Where a word's start or end was found, and where it is, in seconds."""

    found: float
    known: float


Emissions = Callable[[Tensor], Tensor]
"""From a waveform (S,) to log-probabilities (T, V)."""


def emission_delay(
    emissions: Emissions,
    text_encoder: TextEncoder,
    *,
    seconds_per_frame: float,
    sample_rate: int,
) -> float:
    """The median by which words of the built-in corpus are found too late, in seconds.

    CTC leaves a network free to mark a label any time after it heard it, and one that reads the
    audio in both directions even before; which it does is settled by chance and data when it is
    trained. The loss does not tell, so it is measured: on 24 sentences of the part ``val``, of
    which eSpeak NG knows when each word begins and ends. The first and last boundary of a
    sentence, where a network may be ruled by the silence, do not count. A network that learnt
    from AN4, whose words these are not, is 43 ms early by them, and 50 ms early by AN4's own
    transcripts, spoken by eSpeak NG: the delay belongs to the network more than to the text.

    Returns:
        Seconds; 0 where the network lacks letters or frames for the sentences, or understands
        so little that half of the errors lie further than two frames from the median.

    Raises:
        SpeechError: eSpeak NG cannot be loaded.
    """
    errors: list[float] = []
    for line in islice(_lines(), _SENTENCES):
        if text_encoder.unknown(line.text):
            return 0.0
        samples = render(line).astype(np.float32) / np.float32(2**15)
        log_probs = emissions(torch.from_numpy(soxr.resample(samples, SAMPLE_RATE, sample_rate)))
        if len(log_probs) < text_encoder.minimum_frames(text_encoder.encode(line.text)):
            return 0.0
        found = align(
            log_probs,
            line.text,
            text_encoder=text_encoder,
            seconds_per_frame=seconds_per_frame,
        ).words
        normalize = text_encoder.normalize
        spoken = [replace(word, text=normalize(word.text)) for word in word_times(line)]
        known = boundaries(found, spoken)
        errors += [time - truth for time, truth in (*known[0][1:], *known[1][:-1])]
    delay = statistics.median(errors)
    # Words that a network does not understand are found anywhere: then this tells nothing.
    spread = statistics.median(abs(error - delay) for error in errors)
    return delay if spread <= _WIDEST * seconds_per_frame else 0.0


def boundaries(
    found: Sequence[Word], spoken: Sequence[SpokenWord]
) -> tuple[list[Boundary], list[Boundary]]:
    """Starts and ends of all ``spoken`` words, beside those of the same words as ``found``.

    Raises:
        ValueError: they are not the same words.
    """
    starts, ends, index = [], [], 0
    for known in spoken:
        words = found[index : index + len(known.text.split())]
        if [word.word for word in words] != known.text.split():
            raise ValueError(f"{known.text!r} was said, but {words} found")
        starts.append(Boundary(words[0].start, known.start))
        ends.append(Boundary(words[-1].end, known.end))
        index += len(words)
    return starts, ends


def _lines() -> Iterator[Line]:
    return (line for line in script() if line.part == "val")
