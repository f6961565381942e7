"""Samples of utterances: decoded each time, or kept in memory as 16-bit integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from deepspeech2.audio.reading import read_audio
from deepspeech2.types import Utterance

FULL_SCALE = 32768  # of 16-bit audio

Pcm = NDArray[np.int16]
Samples = Pcm | NDArray[np.float32]
"""(S,), either 16-bit integers or float32 in [-1, 1]."""


class AudioStore(Protocol):
    """The audio of utterances by their number."""

    def __getitem__(self, index: int, /) -> Samples:
        """Return samples (S,) that must not be written to, or raise AudioError."""


class FileStore:
    """Decodes a recording each time, to float32."""

    def __init__(self, utterances: Sequence[Utterance], sample_rate: int) -> None:
        self._utterances = utterances
        self._sample_rate = sample_rate

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        samples: NDArray[np.float32] = read(self._utterances[index], self._sample_rate).numpy()
        return samples


class MemoryStore:
    """Keeps recordings as 16-bit integers; the first reading returns the same as later ones."""

    def __init__(self, utterances: Sequence[Utterance], sample_rate: int) -> None:
        self._utterances = utterances
        self._sample_rate = sample_rate
        self._samples: dict[int, Pcm] = {}

    def __getitem__(self, index: int) -> Pcm:
        if index not in self._samples:
            self._samples[index] = to_pcm(read(self._utterances[index], self._sample_rate))
        return self._samples[index]


def read(utterance: Utterance, sample_rate: int) -> Tensor:
    """Decode an utterance to (S,) float32 in [-1, 1] at ``sample_rate`` Hz.

    Raises:
        AudioError: the recording cannot be read.
    """
    return read_audio(
        utterance.audio,
        sample_rate=sample_rate,
        offset=utterance.offset,
        duration=utterance.duration,
        channel=utterance.channel,
    )


def to_pcm(waveform: Tensor) -> Pcm:
    """Round a waveform (S,) float32 in [-1, 1] to 16-bit integers, halves to the even one."""
    # Not with torch, whose threads would get in the way of those that decode.
    scaled = np.rint(waveform.numpy() * np.float32(FULL_SCALE))
    return scaled.clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def fill(row: NDArray[np.float32], samples: Samples) -> None:
    """Write ``samples`` (S,) as float32 in [-1, 1] to the start of ``row``, then zeros."""
    filled = row[: len(samples)]
    filled[:] = samples
    if samples.dtype == np.int16:
        filled *= np.float32(1 / FULL_SCALE)  # a power of two: exact
    row[len(samples) :] = 0
