"""Read recordings as samples: any file that libsndfile or FFmpeg decodes, at a given rate."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
import torch
from torch import Tensor
from tqdm import tqdm

from deepspeech2.audio import ffmpeg
from deepspeech2.audio.source import check_options, opened
from deepspeech2.errors import AudioError, ConfigError, IncompleteError
from deepspeech2.hardware import cpus
from deepspeech2.processes import cancelling
from deepspeech2.types import Utterance

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
) | frozenset(ffmpeg.SUFFIXES)
"""Endings, in lower case, of the recordings that can be read."""

FULL_SCALE = 32768  # of 16-bit audio

Pcm = npt.NDArray[np.int16]

_CHUNK = 32  # files for one task: a task for each would cost more than the reading


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """The length and format of a recording: ``duration`` in seconds, ``sample_rate`` in Hz.

    Attributes:
        fault: why a part of it cannot be read; empty where all can be.
    """

    duration: float
    sample_rate: int
    channels: int
    fault: str = ""


def probe(path: Path | str, *, partial: bool = False, most: float | None = None) -> AudioInfo:
    """Return the length and format of ``path``, decoding it only where its header misleads.

    Args:
        partial: describe a file that is cut off, too.
        most: seconds after which decoding ends.

    Raises:
        IncompleteError: it is cut off in a way that shows without decoding; a cut FLAC file is
            only found by :func:`read_audio`.
        AudioError: the file is missing, unreadable or empty.
    """
    with opened(Path(path), most) as source:
        file, fault = source.file, ""
        try:
            source.check_whole()
        except IncompleteError as error:
            if not partial:
                raise
            fault = str(error)
        return AudioInfo(file.frames / file.samplerate, file.samplerate, file.channels, fault)


def probe_all(
    paths: Sequence[Path], *, n_workers: int | None = None, description: str = "reading headers"
) -> list[AudioInfo | AudioError]:
    """:func:`probe` every path and return the results, or what is wrong, in order.

    Threads wait for the disk together, which takes most of the time on a cold cache and on a
    network file system. A progress bar is shown on a terminal.

    Raises:
        ConfigError: ``n_workers`` is not positive; by default it is four for each core, up to 32.
    """
    if n_workers is None:
        n_workers = min(32, 4 * cpus())
    if n_workers <= 0:
        raise ConfigError(f"n_workers must be positive, but is {n_workers}")
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    results: list[AudioInfo | AudioError] = []
    with (
        cancelling(ThreadPoolExecutor(n_workers)) as pool,
        tqdm(total=len(paths), desc=description, unit=" files", disable=None) as bar,
    ):
        for infos in pool.map(_probe_chunk, chunks):
            results.extend(infos)
            bar.update(len(infos))
    return results


def _probe_chunk(paths: Sequence[Path]) -> list[AudioInfo | AudioError]:
    infos: list[AudioInfo | AudioError] = []
    for path in paths:
        try:
            infos.append(probe(path))
        except AudioError as error:
            infos.append(error)
    return infos


def read_audio(
    path: Path | str,
    *,
    sample_rate: int = 16000,
    offset: float = 0.0,
    duration: float | None = None,
    channel: int | None = None,
) -> Tensor:
    """Read a recording, or ``duration`` seconds of it from ``offset`` seconds on.

    Channels are averaged, but for those that would cancel each other; floats beyond 1 are scaled;
    another rate is converted to ``sample_rate`` with soxr (high quality). Up to 0.1 s less than
    ``duration`` is returned where the file ends earlier, since durations in manifests are rounded.

    Args:
        channel: the only one that is read, counted from 1.

    Returns:
        (S,) float32 in [-1, 1].

    Raises:
        IncompleteError: a part of what is asked for is missing.
        AudioError: the file is missing, unreadable or empty, or contains samples that are not
            finite; one sentence that starts with the path.
        ConfigError: ``sample_rate`` or ``duration`` is not positive, or ``offset`` negative.
    """
    check_options(sample_rate, offset, duration)
    with opened(Path(path)) as source:
        rate = source.file.samplerate
        start, count = source.span(offset, duration)
        parts = list(source.decoded(start, count, source.at_once))
        mix = source.mix(parts, channel)
        samples = mix(parts[0]) if len(parts) == 1 else np.concatenate([mix(p) for p in parts])
    if rate != sample_rate:
        samples = soxr.resample(samples, rate, sample_rate)
        if not len(samples):
            raise AudioError(f"{path} is empty: it contains no sample at {sample_rate} Hz")
    return torch.from_numpy(np.clip(samples, -1.0, 1.0))  # the resampler overshoots


def read_utterance(utterance: Utterance, sample_rate: int) -> Tensor:
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


def read_pcm(utterance: Utterance, sample_rate: int) -> Pcm:
    """Decode an utterance to 16-bit integers (S,); halves are rounded to the even one.

    Raises:
        AudioError: the recording cannot be read.
    """
    # Not with torch, whose threads would get in the way of those that decode.
    waveform = read_utterance(utterance, sample_rate).numpy()
    scaled = np.rint(waveform * np.float32(FULL_SCALE))
    return scaled.clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def from_samples(
    samples: npt.ArrayLike | Tensor, sample_rate: int, wanted_rate: int = 16000
) -> Tensor:
    """Convert samples (S,) at ``sample_rate`` to those of :func:`read_audio` at ``wanted_rate``.

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
