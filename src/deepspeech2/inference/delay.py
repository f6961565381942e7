"""How much later than the sound a network emits it, measured on speech whose times are known."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

import numpy as np
import soxr
import torch
from torch import Tensor

from deepspeech2.audio.synthesis_events import SpokenWord
from deepspeech2.datasets.spoken import SAMPLE_RATE, render, word_times
from deepspeech2.datasets.spoken.script import script
from deepspeech2.decoding import Word
from deepspeech2.decoding.align import align
from deepspeech2.text import Tokenizer

_SENTENCES = 24  # three of each voice
_WIDEST = 2  # frames


class Boundary(NamedTuple):
    """A word's start or end in seconds: aligned by the network, and known from the synthesis."""

    aligned: float
    known: float


def emission_delay(
    emissions: Callable[[Tensor], Tensor],
    text_encoder: Tokenizer,
    *,
    seconds_per_frame: float,
    sample_rate: int,
) -> float:
    """Return by how many seconds words of the built-in corpus are aligned too late, in the median.

    CTC leaves a network free to emit a label any time after the sound, and one that reads the
    audio in both directions even before it; training settles that by chance and data. So it is
    measured on 24 sentences of the part ``val``, of which eSpeak NG knows when each word begins
    and ends. The first and last boundary of a sentence, which silence may decide, do not count.
    A network trained on AN4, which has other words, is 43 ms early by them, and 50 ms early by
    AN4's own transcripts, spoken by eSpeak NG: the delay is the network's more than the text's.

    Args:
        emissions: from a waveform (S,) to log-probabilities (T, V).

    Returns:
        0 if the network lacks letters or frames for the sentences, or understands so little that
        half of the errors are more than two frames from the median.

    Raises:
        SpeechError: eSpeak NG cannot be loaded.
    """
    errors: list[float] = []
    validation = (line for line in script() if line.part == "val")
    for line in islice(validation, _SENTENCES):
        if text_encoder.unknown(line.text):
            return 0.0
        samples = render(line).astype(np.float32) / np.float32(2**15)
        log_probs = emissions(torch.from_numpy(soxr.resample(samples, SAMPLE_RATE, sample_rate)))
        if len(log_probs) < text_encoder.minimum_frames(text_encoder.encode(line.text)):
            return 0.0
        alignment = align(
            log_probs, line.text, text_encoder=text_encoder, seconds_per_frame=seconds_per_frame
        )
        normalize = text_encoder.normalize
        spoken = [replace(word, text=normalize(word.text)) for word in word_times(line)]
        starts, ends = boundaries(alignment.words, spoken)
        errors += [time - truth for time, truth in (*starts[1:], *ends[:-1])]
    delay = statistics.median(errors)
    # words that a network does not understand are aligned anywhere, which measures nothing
    spread = statistics.median(abs(error - delay) for error in errors)
    return delay if spread <= _WIDEST * seconds_per_frame else 0.0


def boundaries(
    aligned: Sequence[Word], spoken: Sequence[SpokenWord]
) -> tuple[list[Boundary], list[Boundary]]:
    """Pair the starts and the ends of all ``spoken`` words with those ``aligned``.

    Raises:
        ValueError: they are not the same words.
    """
    starts, ends, index = [], [], 0
    for known in spoken:
        words = aligned[index : index + len(known.text.split())]
        if [word.word for word in words] != known.text.split():
            raise ValueError(f"{known.text!r} was said, but {words} found")
        starts.append(Boundary(words[0].start, known.start))
        ends.append(Boundary(words[-1].end, known.end))
        index += len(words)
    return starts, ends
