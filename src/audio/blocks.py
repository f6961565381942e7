"""A recording piece by piece, so that hours of it need no more memory than seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from src.audio.reading import at_once, opened, span
from src.errors import AudioError, ConfigError

Samples = npt.NDArray[np.float32]


def blocks(
    path: Path | str,
    *,
    sample_rate: int = 16000,
    seconds: float = 10.0,
    offset: float = 0.0,
    duration: float | None = None,
) -> Iterator[Samples]:
    """What :func:`src.audio.reading.read_audio` gives, in blocks (S,) of about ``seconds``.

    Args:
        offset, duration: seconds; which part of the recording.

    Raises:
        AudioError: as :func:`src.audio.reading.read_audio`, when the fault is reached.
        ConfigError: ``sample_rate`` or ``seconds`` is not positive.
    """
    if sample_rate <= 0 or seconds <= 0:
        raise ConfigError(f"sample_rate and seconds must be positive: {sample_rate}, {seconds}")
    path = Path(path)
    with opened(path) as file:
        converter: Any = None
        if file.samplerate != sample_rate:
            converter = soxr.ResampleStream(file.samplerate, sample_rate, 1, dtype="float32")
        count = 0
        start, length = span(file, path, offset, duration)
        if start:
            file.seek(start)
        size = min(at_once(file), max(1, round(seconds * file.samplerate)))
        for block in _decoded(file, path, length, size):
            if converter is not None:
                block = converter.resample_chunk(block)
            count += len(block)
            yield np.clip(block, -1.0, 1.0)
        if converter is not None:
            rest = converter.resample_chunk(np.zeros(0, np.float32), last=True)
            count += len(rest)
            yield np.clip(rest, -1.0, 1.0)
        if not count:
            raise AudioError(f"{path} is empty: it holds no sample at {sample_rate} Hz")


def _decoded(file: soundfile.SoundFile, path: Path, length: int, size: int) -> Iterator[Samples]:
    """``length`` frames in blocks of one channel, the mean of all."""
    left = length
    slack = 1152 if file.format == "MP3" else 0  # without a Xing header the length is an estimate
    ended = False
    while left > 0 and not ended:
        wanted = min(size, left)
        try:
            block: Samples = file.read(wanted, dtype="float32")
        except soundfile.SoundFileError as error:
            raise AudioError(f"{path} is damaged or cut off: decoding broke off") from error
        ended = len(block) < wanted  # what a damaged file gives after that is no sound
        if not len(block):
            break
        left -= len(block)
        if block.ndim > 1:
            block = block.mean(axis=1)
        if not np.isfinite(block).all():
            raise AudioError(f"{path} holds samples that are not finite")
        yield np.clip(block, -1.0, 1.0)
    if left > slack or left == length:
        raise AudioError(
            f"{path} is damaged or cut off: of {length / file.samplerate:.2f} s only"
            f" {(length - left) / file.samplerate:.2f} s can be decoded"
        )
