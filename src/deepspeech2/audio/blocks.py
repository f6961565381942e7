"""Read a recording in blocks, so that hours of it need no more memory than seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from deepspeech2.audio.ffmpeg import Samples
from deepspeech2.audio.source import check_options, opened
from deepspeech2.errors import AudioError, ConfigError


def blocks(
    path: Path | str,
    *,
    sample_rate: int = 16000,
    seconds: float = 10.0,
    offset: float = 0.0,
    duration: float | None = None,
    channel: int | None = None,
) -> Iterator[Samples]:
    """Read as :func:`deepspeech2.audio.reading.read_audio`, in blocks (S,) of about ``seconds``.

    Several channels, and floats, are read twice: how they become one channel depends on all.

    Args:
        offset, duration: seconds; which part of the recording.
        channel: the only one that is read, counted from 1.

    Raises:
        AudioError: as :func:`deepspeech2.audio.reading.read_audio`, when the fault is reached.
        ConfigError: ``sample_rate`` or ``seconds`` is not positive.
    """
    if seconds <= 0:
        raise ConfigError(f"seconds must be positive, but is {seconds}")
    check_options(sample_rate, offset, duration)
    path = Path(path)
    with opened(path) as source:
        rate = source.file.samplerate
        start, length = source.span(offset, duration)
        size = min(source.at_once, max(1, round(seconds * rate)))
        mix = source.mix_ahead(start, length, size, channel)
        converter: Any = None
        if rate != sample_rate:
            converter = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32")
        count = 0
        for channels in source.decoded(start, length, size):
            block = mix(channels)
            if converter is not None:
                block = converter.resample_chunk(block)
            count += len(block)
            yield np.clip(block, -1.0, 1.0)
        if converter is not None:
            rest = converter.resample_chunk(np.zeros(0, np.float32), last=True)
            count += len(rest)
            yield np.clip(rest, -1.0, 1.0)
        if not count:
            raise AudioError(f"{path} is empty: it contains no sample at {sample_rate} Hz")
