"""Open recordings: libsndfile or FFmpeg decodes them, and their channels become one.

Imports no torch: the scorer's page is made without it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import soundfile

from deepspeech2.audio import ffmpeg
from deepspeech2.audio.containers import MOST_JOINED, RawSamples, Structure, examine, shortened
from deepspeech2.audio.ffmpeg import FfmpegFile, Samples, Section
from deepspeech2.audio.stored import as_file
from deepspeech2.errors import AudioError, ConfigError, IncompleteError

_UNKNOWN_FRAMES = 2**62  # a FLAC stream of unknown length is announced as the largest count
_FRAME = 1152  # samples of an MPEG frame, by which counts of such files may be wrong
_ROUNDING = 0.1  # seconds by which a manifest's rounded duration may exceed the recording
_AT_ONCE = 2**24  # samples that are decoded at a time
_RATES = (1000, 1_000_000)  # Hz; at fewer, a small file would become hours of samples
_CANCELLED = 0.1  # of the loudest channel's power: less is left where channels are opposed


class File(Protocol):
    """What libsndfile and FFmpeg have in common."""

    @property
    def frames(self) -> int: ...
    @property
    def subtype(self) -> str: ...

    samplerate: int
    channels: int
    format: str

    def seek(self, frame: int) -> object: ...
    def read(self, frames: int, dtype: str, always_2d: bool) -> Samples: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Mix:
    """How a recording becomes one channel.

    Attributes:
        channel: the one that is taken, counted from 0; None: the mean of all.
        scale: what samples are divided by.
    """

    channel: int | None = None
    scale: float = 1.0

    def __call__(self, block: Samples) -> Samples:
        """(n, C) to (n,), in [-1, 1]: lossy codecs overshoot by a little."""
        if self.channel is not None:
            block = block[:, self.channel]
        else:
            block = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
        if self.scale != 1.0:
            block = block / np.float32(self.scale)
        return np.clip(block, -1.0, 1.0)


def check_options(sample_rate: int, offset: float, duration: float | None) -> None:
    """Raise ConfigError unless a recording can be read with these."""
    if sample_rate <= 0:
        raise ConfigError(f"sample_rate must be positive, but is {sample_rate}")
    if offset < 0:
        raise ConfigError(f"offset must not be negative, but is {offset}")
    if duration is not None and duration <= 0:
        raise ConfigError(f"duration must be positive, but is {duration}")


class Source:
    """An open recording: its ``path``, and the ``file`` that decodes it."""

    def __init__(self, path: Path, file: File, structure: Structure) -> None:
        self.path, self.file = path, file
        self._structure = structure

    @property
    def at_once(self) -> int:
        """The most frames to decode at a time: silence may be packed a thousandfold."""
        return max(1, _AT_ONCE // int(self.file.channels))

    def check_whole(self) -> None:
        """Raise IncompleteError if the file ends before its header says."""
        there = self.file.frames / self.file.samplerate
        share = self._structure.missing
        if share == 0 and not isinstance(self.file, FfmpegFile):
            share = shortened(str(getattr(self.file, "extra_info", "")))
        missing = there / (1 - share) - there if share and share < 1 else 0.0
        if isinstance(self.file, FfmpegFile):
            missing = missing or self.file.missing
        if missing * self.file.samplerate >= 1:
            raise IncompleteError(
                f"{self.path} is cut off: {missing:.3f} s are missing behind the {there:.2f} s that"
                " are there",
                there,
            )
        if share is None:
            raise IncompleteError(
                f"{self.path} is cut off behind the {there:.2f} s that are there", there
            )

    def span(self, offset: float, duration: float | None) -> tuple[int, int]:
        """First frame and number of frames, checked against the file's length."""
        file = self.file
        if duration is None:
            self.check_whole()
        start, end = round(offset * file.samplerate), file.frames / file.samplerate
        if start >= file.frames:
            raise AudioError(
                f"{self.path} ends at {end:.2f} s, before the utterance that starts at"
                f" {offset:.2f} s"
            )
        if duration is None:
            return start, file.frames - start
        count = max(1, round(duration * file.samplerate))
        if start + count > file.frames + _ROUNDING * file.samplerate:
            raise IncompleteError(
                f"{self.path} ends at {end:.2f} s, before the utterance that ends at"
                f" {offset + duration:.2f} s",
                (file.frames - start) / file.samplerate,
            )
        return start, min(count, file.frames - start)

    def decoded(self, start: int, count: int, size: int) -> Iterator[Samples]:
        """Decode ``count`` frames from ``start`` on into blocks (n, C) of up to ``size``.

        Raises:
            IncompleteError: there are fewer, all of which were yielded.
            AudioError: there is none, or samples are not finite.
        """
        left = count
        try:
            # to 0, too: without it libsndfile 1.2.2 leaves the pre-skip of an Opus file in
            self.file.seek(start)
            while left > 0:  # a damaged header announces more than any memory has room for
                block = self.file.read(min(size, left), dtype="float32", always_2d=True)
                if not len(block):
                    break
                if not np.isfinite(block).all():
                    raise AudioError(f"{self.path} contains samples that are not finite")
                left -= len(block)
                yield block
        except soundfile.SoundFileError as error:  # FFmpeg decodes up to the fault, and behind it
            self.file.close()
            self.file = FfmpegFile(self.path)
            if self.file.frames <= start + count - left:
                raise self._broken_off(count - left, count) from error
            yield from self.decoded(start + count - left, left, size)
            return
        inexact = isinstance(self.file, FfmpegFile) or self.file.format == "MP3"
        if left > (_FRAME if inexact else 0) or left == count:
            raise self._broken_off(count - left, count)

    def _broken_off(self, n_decoded: int, count: int) -> AudioError:
        rate = self.file.samplerate
        message = (
            f"{self.path} is damaged or cut off: of {count / rate:.2f} s only"
            f" {n_decoded / rate:.2f} s can be decoded"
        )
        return IncompleteError(message, n_decoded / rate) if n_decoded else AudioError(message)

    def mix_ahead(self, start: int, count: int, size: int, channel: int | None) -> Mix:
        """:meth:`mix` for the blocks of :meth:`decoded`, which are decoded only if they matter."""

        def blocks() -> Iterator[Samples]:
            if self.file.channels > 1 or self._is_float:
                with suppress(AudioError):  # which is raised when the samples are used
                    yield from self.decoded(start, count, size)

        return self.mix(blocks(), channel)

    def mix(self, blocks: Iterable[Samples], channel: int | None) -> Mix:
        """Choose how a recording (n, C) in ``blocks`` becomes one channel.

        Channels of opposite phase, as of a balanced line or a widened stereo picture, would cancel
        each other: then the loudest is taken. Samples stored as floats may have any scale; beyond
        1, others come from a codec's overshoot.

        Args:
            channel: the only one that is wanted, counted from 1.
        """
        if channel is not None and channel > self.file.channels:
            raise AudioError(f"{self.path} has {self.file.channels} channels, and so no {channel}.")
        powers = np.zeros(1)
        mixed, loudest = 0.0, 0.0
        for block in blocks:
            loudest = max(loudest, float(np.abs(block).max(initial=0.0)))
            if block.shape[1] > 1:
                powers = powers + np.square(block, dtype=np.float64).sum(axis=0)
                mixed += float(np.square(block.mean(axis=1), dtype=np.float64).sum())
        scaled = self._is_float and np.isfinite(loudest) and loudest > 1.0
        scale = loudest if scaled else 1.0
        if channel is not None:
            return Mix(channel - 1, scale)
        opposed = mixed < _CANCELLED * powers.max()
        return Mix(int(powers.argmax()) if opposed else None, scale)

    @property
    def _is_float(self) -> bool:
        return self.file.subtype in ("FLOAT", "DOUBLE")


@contextmanager
def opened(path: Path, most: float | None = None) -> Iterator[Source]:
    """Open a recording, which is checked to contain samples; see also :mod:`.stored`.

    Args:
        most: seconds after which FFmpeg stops counting.

    Raises:
        AudioError: it cannot be read, or is empty.
    """
    with as_file(path) as file, _source(file, most) as source:
        yield source


@contextmanager
def _source(path: Path, most: float | None) -> Iterator[Source]:
    try:
        structure, file = _open(path, examine(path), most)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):  # which is no fault of the file
            raise
        raise AudioError(f"{path} {_why_not_opened(path, error)}") from error
    source = Source(path, file, structure)
    try:
        if not _RATES[0] <= file.samplerate <= _RATES[1]:
            raise AudioError(
                f"{path} has {file.samplerate} samples a second, which must be from {_RATES[0]} to"
                f" {_RATES[1]}: its header is damaged, or it is no speech"
            )
        if not file.frames:
            raise AudioError(f"{path} is empty: it contains no samples")
        yield source
    finally:
        source.file.close()


def _open(path: Path, structure: Structure, most: float | None) -> tuple[Structure, File]:
    if not path.stat().st_size:
        raise AudioError(f"{path} is empty: the file has no bytes")
    if path.suffix.lower() == ".raw":
        raise AudioError(f"{path} is raw data without a header: convert it to WAV")
    if len(structure.starts) > MOST_JOINED:
        raise AudioError(f"{path} is more than {MOST_JOINED} recordings in one file: split it")
    if structure.samples is not None:
        return structure, _headless(path, structure.samples)
    if structure.trusted and path.suffix.lower() not in ffmpeg.SUFFIXES:
        try:
            file = soundfile.SoundFile(os.fsencode(path))  # a name need not be UTF-8
        except soundfile.SoundFileError as error:
            if "malformed" in str(error) and not structure.missing:  # its word for too short
                structure = replace(structure, missing=None)
            return structure, FfmpegFile(path, most=most)
        if file.format == "RAW":  # libsndfile's guess for what has the ending .au or .snd
            file.close()
            raise AudioError(f"{path} has no header that says what it contains: convert it to WAV")
        # of VOC files in many blocks it reads the headers as samples
        if file.frames < _UNKNOWN_FRAMES and "multi-segment" not in file.extra_info:
            return structure, cast(File, file)
        file.close()
    return structure, FfmpegFile(path, structure.starts, most)


def _headless(path: Path, samples: RawSamples) -> File:
    """Open the samples up to the end of the file: the size in a WAV header wraps at 4 GiB."""
    start, end, samplerate, channels, subtype = samples
    section = Section(path, start, end)
    try:
        file: Any = soundfile.SoundFile(
            section, "r", samplerate, channels, subtype, endian="LITTLE", format="RAW"
        )
    except (soundfile.SoundFileError, ValueError, OverflowError) as error:
        section.close()
        raise AudioError(
            f"{path} is damaged: its header announces {channels} channels at {samplerate} Hz"
        ) from error
    return cast(File, file)


def _why_not_opened(path: Path, error: OSError) -> str:
    if path.is_dir():
        return "is a folder, not a recording"
    return "does not exist" if not path.exists() else f"cannot be read: {error.strerror}"
