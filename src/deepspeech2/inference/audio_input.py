"""The input of a recogniser: files, or samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from deepspeech2.audio.blocks import blocks
from deepspeech2.audio.ffmpeg import Samples
from deepspeech2.audio.reading import from_samples, probe, read_audio
from deepspeech2.errors import IncompleteError

Audio = str | Path | npt.NDArray[np.floating[Any]] | Tensor
"""A file, or samples (S,) in [-1, 1]."""


class AudioInput:
    """A recording to recognise; a file is only read when its samples are asked for.

    Args:
        audio: the file or samples.
        sample_rate: of samples, in Hz; None: ``wanted_rate``.
        wanted_rate: of what is read, in Hz.

    Attributes:
        path: of the file; None for samples.
        seconds: its duration.
        fault: why a part of it cannot be read; None as long as nothing is known to be missing.

    Raises:
        AudioError: the file cannot be read, or samples are none, not one channel or not finite.
    """

    def __init__(self, audio: Audio, sample_rate: int | None, wanted_rate: int) -> None:
        self.path = Path(audio) if isinstance(audio, str | Path) else None
        self.fault: str | None = None
        self._rate = wanted_rate
        if isinstance(audio, str | Path):
            info = probe(audio, partial=True)
            self.seconds, self.fault = info.duration, info.fault or None
        else:
            self._samples = from_samples(audio, sample_rate or wanted_rate, wanted_rate)
            self.seconds = len(self._samples) / wanted_rate

    def waveform(self) -> Tensor:
        """Return (S,), all of it that can be read."""
        if self.path is None:
            return self._samples
        try:
            return read_audio(self.path, sample_rate=self._rate, duration=self._limit())
        except IncompleteError as error:
            self.fault = str(error)
            return read_audio(self.path, sample_rate=self._rate, duration=error.seconds)

    def blocks(self) -> Iterator[Samples]:
        """Yield the same in blocks, so that hours need no more memory than seconds."""
        if self.path is None:
            yield self._samples.numpy()
            return
        try:
            yield from blocks(self.path, sample_rate=self._rate, duration=self._limit())
        except IncompleteError as error:
            self.fault = str(error)

    def _limit(self) -> float | None:
        """Seconds to read: no more than there are if the file is known to be cut off."""
        return self.seconds if self.fault else None
