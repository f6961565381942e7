"""What a user gives to be recognised: files, or samples."""

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


class Given:
    """A recording that is read when it is its turn.

    Args:
        item: the file or samples.
        sample_rate: of samples, in Hz; None: ``wanted_rate``.
        wanted_rate: of what is read, in Hz.

    Attributes:
        seconds: its duration.
        fault: why a part of it cannot be heard; None as long as nothing is known to be missing.

    Raises:
        AudioError: the file cannot be read, or samples are none, not one channel or not finite.
    """

    def __init__(self, item: Audio, sample_rate: int | None, wanted_rate: int) -> None:
        self.item = item
        self.fault: str | None = None
        self._rate = wanted_rate
        self._samples: Tensor | None = None
        if isinstance(item, str | Path):
            info = probe(item, partial=True)
            self.seconds, self.fault = info.duration, info.fault or None
        else:
            self._samples = from_samples(item, sample_rate or wanted_rate, wanted_rate)
            self.seconds = len(self._samples) / wanted_rate

    @property
    def path(self) -> Path | None:
        """None for samples."""
        return Path(self.item) if isinstance(self.item, str | Path) else None

    def waveform(self) -> Tensor:
        """(S,) all of it that can be read."""
        if self.path is None:
            assert self._samples is not None
            return self._samples
        try:
            return read_audio(self.path, sample_rate=self._rate, duration=self._there)
        except IncompleteError as error:
            self.fault = str(error)
            return read_audio(self.path, sample_rate=self._rate, duration=error.seconds)

    def recording(self) -> Iterator[Samples]:
        """The same in blocks, so that hours need no more memory than seconds."""
        if self.path is None:
            yield self.waveform().numpy()
            return
        try:
            yield from blocks(self.path, sample_rate=self._rate, duration=self._there)
        except IncompleteError as error:
            self.fault = str(error)

    @property
    def _there(self) -> float | None:
        return self.seconds if self.fault else None
