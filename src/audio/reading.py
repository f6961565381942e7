"""Recordings as samples: any file that libsndfile reads, at the rate that is asked for."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
import torch
from torch import Tensor

from src.audio.truncation import is_cut_off
from src.errors import AudioError, ConfigError

_SUFFIXES = {
    "AIFF": (".aif", ".aifc", ".aiff"),
    "AU": (".au", ".snd"),
    "CAF": (".caf",),
    "FLAC": (".flac",),
    "MP3": (".mp3",),
    "NIST": (".nist", ".sph"),
    "OGG": (".oga", ".ogg", ".opus"),
    "RF64": (".rf64",),
    "VOC": (".voc",),
    "W64": (".w64",),
    "WAV": (".wav", ".wave"),
}

AUDIO_SUFFIXES = frozenset(
    suffix for name in soundfile.available_formats() for suffix in _SUFFIXES.get(name, ())
)
"""Endings, in lower case, of the recordings that this build of libsndfile reads."""

_UNKNOWN_FRAMES = 2**62  # a FLAC stream of unknown length is announced as the largest count
_MP3_SLACK = 1152  # one MPEG frame: without a Xing header the length is an estimate
_ROUNDING = 0.1  # seconds that a manifest's rounded duration may reach beyond the end
_AT_ONCE = 2**24  # samples that are decoded at a time
_RATES = (1000, 1_000_000)  # Hz; at fewer, a small file would become hours of samples


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What a recording's header says: ``duration`` in seconds, ``sample_rate`` in Hz."""

    duration: float
    sample_rate: int
    channels: int


def probe(path: Path | str) -> AudioInfo:
    """Read the header of ``path`` and decode nothing.

    Raises:
        AudioError: the file is missing, unreadable or empty, or cut off in a way that shows
            without decoding; a cut FLAC or MP3 file is only found by :func:`read_audio`.
    """
    with opened(Path(path)) as file:
        return AudioInfo(file.frames / file.samplerate, file.samplerate, file.channels)


def read_audio(
    path: Path | str,
    *,
    sample_rate: int = 16000,
    offset: float = 0.0,
    duration: float | None = None,
) -> Tensor:
    """Read a recording, or ``duration`` seconds of it from ``offset`` seconds on.

    Channels are averaged; another rate is converted to ``sample_rate`` with soxr (high
    quality). Up to 0.1 s less than ``duration`` is returned where the file ends earlier,
    since durations in manifests are rounded.

    Returns:
        (S,) float32 in [-1, 1].

    Raises:
        AudioError: the file is missing, unreadable, empty or cut off, or holds samples that
            are not finite; one sentence that starts with the path.
        ConfigError: ``sample_rate`` or ``duration`` is not positive, or ``offset`` negative.
    """
    if sample_rate <= 0:
        raise ConfigError(f"sample_rate must be positive, but is {sample_rate}")
    if offset < 0:
        raise ConfigError(f"offset must not be negative, but is {offset}")
    if duration is not None and duration <= 0:
        raise ConfigError(f"duration must be positive, but is {duration}")
    path = Path(path)
    with opened(path) as file:
        rate = file.samplerate
        samples = _decode(file, path, *span(file, path, offset, duration))
    if not np.isfinite(samples).all():
        raise AudioError(f"{path} holds samples that are not finite")
    if rate != sample_rate:
        # A float file may hold anything, and what is too large is no number any more afterwards.
        samples = soxr.resample(np.clip(samples, -1.0, 1.0, out=samples), rate, sample_rate)
        if not len(samples):
            raise AudioError(f"{path} is empty: it holds no sample at {sample_rate} Hz")
    # Lossy codecs, floating-point files and the resampler overshoot.
    return torch.from_numpy(np.clip(samples, -1.0, 1.0, out=samples))


def from_samples(
    samples: npt.ArrayLike | Tensor, sample_rate: int, wanted_rate: int = 16000
) -> Tensor:
    """Samples (S,) of ``sample_rate`` as :func:`read_audio` gives them, at ``wanted_rate``.

    Raises:
        AudioError: there are none, they are not one channel, or they are not finite.
        ConfigError: a rate is not positive.
    """
    for name, rate in (("sample_rate", sample_rate), ("wanted_rate", wanted_rate)):
        if rate <= 0:
            raise ConfigError(f"{name} must be positive, but is {rate}")
    array = np.asarray(samples.cpu() if isinstance(samples, Tensor) else samples)
    if array.ndim != 1 or not len(array):
        raise AudioError(f"samples must be (S,) with at least one, but are {array.shape}")
    if not np.issubdtype(array.dtype, np.floating):
        raise AudioError(f"samples must be floats in [-1, 1], but are {array.dtype}")
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise AudioError("samples must be finite, but are not")
    if sample_rate != wanted_rate:
        array = soxr.resample(np.clip(array, -1.0, 1.0), sample_rate, wanted_rate)
        if not len(array):
            raise AudioError(f"samples must reach one at {wanted_rate} Hz, but are too few")
    return torch.from_numpy(np.clip(array, -1.0, 1.0))


@contextmanager
def opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """The file, if it can be read and holds something.

    Raises:
        AudioError: says why not.
    """
    try:
        file = soundfile.SoundFile(os.fsencode(path))  # a name need not be UTF-8
    except TypeError as error:  # soundfile's answer to the ending .raw
        raise AudioError(f"{path} is raw data without a header: convert it to WAV") from error
    except soundfile.SoundFileError as error:
        raise AudioError(f"{path} {_why_not_opened(path, error)}") from error
    with file:
        if file.format == "RAW":  # libsndfile's guess for what has the ending .au or .snd
            raise AudioError(f"{path} has no header that says what it holds: convert it to WAV")
        if file.frames >= _UNKNOWN_FRAMES:
            raise AudioError(f"{path} does not say how long it is: convert it anew into a file")
        if is_cut_off(file, path):
            raise AudioError(
                f"{path} is cut off: its header announces more than the "
                f"{file.frames / file.samplerate:.2f} s that are there"
            )
        if not _RATES[0] <= file.samplerate <= _RATES[1]:
            raise AudioError(
                f"{path} has {file.samplerate} samples a second, which must be from {_RATES[0]} to"
                f" {_RATES[1]}: its header is damaged, or it is no speech"
            )
        if not file.frames:
            raise AudioError(f"{path} is empty: it holds no samples")
        yield file


def _why_not_opened(path: Path, error: soundfile.SoundFileError) -> str:
    try:
        if path.is_dir():
            return "is a folder, not a recording"
        if not path.exists():
            return "does not exist"
        with path.open("rb") as stream:
            if not stream.read(1):
                return "is empty: the file has no bytes"
    except OSError as reason:
        if reason.errno in (errno.EMFILE, errno.ENFILE):  # which is no fault of the file
            raise
        return f"cannot be read: {reason.strerror}"
    if "malformed" in str(error):
        return "is damaged or cut off: libsndfile cannot make out its header"
    return "is no audio that libsndfile can read"


def span(
    file: soundfile.SoundFile, path: Path, offset: float, duration: float | None
) -> tuple[int, int]:
    """First frame and number of frames, checked against the file's length."""
    start = round(offset * file.samplerate)
    if start >= file.frames:
        raise AudioError(
            f"{path} ends at {file.frames / file.samplerate:.2f} s, "
            f"before the utterance that starts at {offset:.2f} s"
        )
    if duration is None:
        return start, file.frames - start
    count = max(1, round(duration * file.samplerate))
    if start + count > file.frames + _ROUNDING * file.samplerate:
        raise AudioError(
            f"{path} ends at {file.frames / file.samplerate:.2f} s, "
            f"before the utterance that ends at {offset + duration:.2f} s"
        )
    return start, min(count, file.frames - start)


def at_once(file: soundfile.SoundFile) -> int:
    """Frames that are decoded at a time, at most: silence may be packed a thousandfold."""
    return max(1, _AT_ONCE // int(file.channels))


def _decode(
    file: soundfile.SoundFile, path: Path, start: int, count: int
) -> npt.NDArray[np.float32]:
    """(S,) the mean of all channels, exactly ``count`` frames of them."""
    parts: list[npt.NDArray[np.float32]] = []
    left = count
    try:
        if start:
            file.seek(start)
        while left:  # a damaged header announces more than any memory holds
            wanted = min(left, at_once(file))
            part = file.read(wanted, dtype="float32")
            parts.append(part if part.ndim == 1 else part.mean(axis=1))
            left -= len(part)
            if len(parts[-1]) < wanted:
                break
    except soundfile.SoundFileError as error:
        raise AudioError(f"{path} is damaged or cut off: decoding broke off") from error
    samples = parts[0] if len(parts) == 1 else np.concatenate(parts)
    slack = _MP3_SLACK if file.format == "MP3" else 0
    if len(samples) + slack < count or not len(samples):
        raise AudioError(
            f"{path} is damaged or cut off: of {count / file.samplerate:.2f} s "
            f"only {len(samples) / file.samplerate:.2f} s can be decoded"
        )
    return samples
