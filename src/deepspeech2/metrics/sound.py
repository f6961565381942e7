"""Recordings for a page: Ogg Vorbis that every browser plays, and their spectrograms."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from deepspeech2.audio.blocks import blocks
from deepspeech2.audio.source import opened
from deepspeech2.errors import AudioError, ConfigError
from deepspeech2.metrics.analysis import Row, number

Samples = NDArray[np.float32]

_RATE = 16000  # Hz at most: what the networks hear, and half of what a page would have to hold
_AT_ONCE = 2**16  # samples: libsndfile's Vorbis writer puts on the stack what it is given at once
_ROWS, _COLUMNS = 48, 500  # of a spectrogram, at most
_WINDOW, _STEP = 0.025, 0.010  # seconds
_RANGE = 10.0  # natural logarithms of power below the loudest that are shown
_EMPHASIS = 0.97  # of what is subtracted of the sample before: speech is weak at high frequencies


def sound(row: Row, folders: Sequence[Path]) -> dict[str, Any] | None:
    """What was heard of an utterance as Ogg Vorbis, with its spectrogram; None if it is not there.

    Of a recording whose ``channel`` is given that one alone.

    Args:
        folders: from which a relative path of the recording may count.
    """
    name = row.fields.get("audio_path")
    if not isinstance(name, str):
        return None
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    rate = None if path is None else _rate(path)
    if path is None or rate is None:
        return None
    fields = {key: number(row.fields.get(key)) for key in ("offset", "duration", "channel")}
    channel = int(fields["channel"] or 0)
    pieces: list[Samples] = []
    with suppress(AudioError, ConfigError, OSError):  # what comes before the fault is heard
        for piece in blocks(
            path,
            sample_rate=rate,
            offset=fields["offset"] or 0.0,
            duration=fields["duration"] or None,
            channel=channel if channel > 0 else None,
        ):
            pieces.append(piece)
    if not pieces:
        return None
    samples = np.concatenate(pieces)
    audio = base64.b64encode(_vorbis(samples, rate)).decode("ascii")
    return {"audio": audio, **spectrogram(samples, rate)}


@lru_cache(maxsize=4096)
def _rate(path: Path) -> int | None:
    """At which rate a recording is brought, in Hz; None if nothing of it can be read."""
    try:
        with opened(path) as source:
            return min(_RATE, int(source.file.samplerate))
    except (AudioError, OSError):
        return None


def _vorbis(samples: Samples, rate: int) -> bytes:
    """Samples (S,) as Ogg Vorbis."""
    encoded = io.BytesIO()
    with soundfile.SoundFile(
        encoded, "w", rate, 1, format="OGG", subtype="VORBIS", compression_level=0.8
    ) as file:
        for start in range(0, len(samples), _AT_ONCE):
            file.write(samples[start : start + _AT_ONCE])
    return encoded.getvalue()


def spectrogram(samples: Samples, rate: int) -> dict[str, Any]:
    """Log power of (S,) samples in bytes, column by column, low frequencies first."""
    size, step = max(2, round(_WINDOW * rate)), max(1, round(_STEP * rate))
    emphasised = np.append(samples[:1], samples[1:] - np.float32(_EMPHASIS) * samples[:-1])
    padded = np.pad(emphasised, (size // 2, size - size // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::step]
    together = -(-len(frames) // _COLUMNS)
    pooled = np.array(list(_columns(frames, together)))
    levels = np.log(pooled + 1e-10)
    values = 255 * np.clip(1 + (levels - levels.max()) / _RANGE, 0, 1)
    return {
        "width": len(values),
        "height": values.shape[1],
        "picture": base64.b64encode(values.astype(np.uint8).tobytes()).decode("ascii"),
    }


def _columns(frames: Samples, together: int) -> Iterator[NDArray[np.float64]]:
    """Power (F,) of as many frames ``together``: hours of sound need no more memory than these."""
    size = frames.shape[1]
    n_bins = size // 2 + 1
    places = np.linspace(1, n_bins, min(_ROWS, n_bins - 1) + 1).astype(int)[:-1]
    for start in range(0, len(frames), together):
        power = np.abs(np.fft.rfft(frames[start : start + together] * np.hanning(size))) ** 2
        yield np.add.reduceat(power, places, axis=1).sum(axis=0)
