"""What a user gives to be recognised: files, or samples."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from src.audio.blocks import blocks
from src.audio.reading import from_samples, probe, read_audio
from src.inference.long import Recording

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

    Raises:
        AudioError: the file cannot be read, or samples are none, not one channel or not finite.
    """

    def __init__(self, item: Audio, sample_rate: int | None, wanted_rate: int) -> None:
        self.item = item
        self._rate = wanted_rate
        self._samples: Tensor | None = None
        if isinstance(item, str | Path):
            self.seconds = probe(item).duration
        else:
            self._samples = from_samples(item, sample_rate or wanted_rate, wanted_rate)
            self.seconds = len(self._samples) / wanted_rate

    @property
    def path(self) -> Path | None:
        """None for samples."""
        return Path(self.item) if isinstance(self.item, str | Path) else None

    def waveform(self) -> Tensor:
        """(S,) all of it."""
        if self.path is not None:
            return read_audio(self.path, sample_rate=self._rate)
        assert self._samples is not None
        return self._samples

    def recording(self) -> Recording:
        """The same in blocks, so that hours need no more memory than seconds."""
        if self.path is not None:
            return partial(blocks, self.path, sample_rate=self._rate)
        return lambda: [self.waveform().numpy()]
