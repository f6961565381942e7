"""Look at a file's structure before it is decoded: which decoder to trust, and what is missing.

libsndfile reads the first of several recordings that were joined into one file, trusts the size
that a WAV file announces, and guesses the length of an MP3 file. Where that would lose sound,
:mod:`deepspeech2.audio.ffmpeg` decodes the file to its end instead.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

# A chunk's own header, and its padding to an even size
_SLACK_BYTES = 8
_BLOCK = 2**20  # bytes
# A writer that could not seek back (ffmpeg or SoX into a pipe) leaves the largest size there is.
_UNKNOWN_SIZE = 0x7FFF0000
# What libsndfile notes in its log when a chunk of samples is larger than the rest of the file.
_SHORT_CHUNK = re.compile(
    r"^ *(?:data|SSND|Data Size|riff|Riff size) *: (\d+) \(should be (\d+)\)", re.MULTILINE
)
# The object of the sound, followed by its size (Advanced Systems Format 1.2, 5.2)
_ASF_DATA = b"6&\xb2u\x8ef\xcf\x11\xa6\xd9\x00\xaa\x00b\xcel"
_SPHERE_HEADER = 1024
MOST_JOINED = 10_000
"""Recordings that may be joined into one file: each costs about a millisecond to open."""
_EXTENSIBLE = 0xFFFE
_CHUNKS = 10_000  # of a WAV file that are looked at
_CHANNELS = 1024  # that libsndfile opens at most
_SPHERE = re.compile(rb"^(sample_count|sample_n_bytes|channel_count) -i (\d+)", re.MULTILINE)

# An Ogg page: 27 bytes of header, a table of up to 255 segments of up to 255 bytes (RFC 3533, 6).
_OGG = b"OggS\x00"
_OGG_HEADER = 27
_OGG_FIRST, _OGG_LAST = 0x02, 0x04

# How recordings begin: a text, its place, and a pattern of the whole beginning.
_BEGINNINGS = tuple(
    (text, place, re.compile(pattern, re.DOTALL))
    for text, place, pattern in (
        (b"RIFF", 0, rb"RIFF....WAVE"),
        (b"RIFF", 0, rb"RIFF....AVI "),
        (b"RF64", 0, rb"RF64....WAVE"),
        (b"riff", 0, rb"riff\x2e\x91\xcf\x11"),
        (b"FORM", 0, rb"FORM....AIF[FC]"),
        (b"caff", 0, rb"caff\x00\x01\x00\x00"),
        (b".snd", 0, rb"\.snd\x00\x00.{6}\x00\x00\x00"),
        (b"Creative", 0, rb"Creative Voice File\x1a"),
        (b"NIST_1A", 0, rb"NIST_1A\n +\d+\n"),
        (b"fLaC", 0, rb"fLaC\x00\x00\x00\x22"),
        (b"ftyp", 4, rb"\x00\x00..ftyp[\w ]{4}"),
        (b"\x1aE\xdf\xa3", 0, rb"\x1aE\xdf\xa3.{1,60}?(?:webm|matroska)"),
        (b"0&\xb2u", 0, rb"0&\xb2u\x8ef\xcf\x11"),
        (b"FLV\x01", 0, rb"FLV\x01[\x01\x04\x05]\x00\x00\x00\x09"),
        (b"wvpk", 0, rb"wvpk.{12}\x00{4}"),
        (b"TTA1", 0, rb"TTA1[\x01\x02]\x00"),
        (b"#!AMR", 0, rb"#!AMR(?:-WB)?\n"),
    )
)
_XING = re.compile(rb"Xing|Info")
_TAGS = re.compile(rb"TAG|APETAGEX|LYRICSBEGIN|ID3")

_CODINGS = {
    (1, 8): "PCM_U8", (1, 16): "PCM_16", (1, 24): "PCM_24", (1, 32): "PCM_32", (3, 32): "FLOAT",
    (3, 64): "DOUBLE", (6, 8): "ALAW", (7, 8): "ULAW",
}  # fmt: skip
"""libsndfile's names for the format and bits of WAV files."""


class RawSamples(NamedTuple):
    """Samples without a header of their own, from byte ``start`` to before ``end``."""

    start: int
    end: int
    samplerate: int
    channels: int
    subtype: str


@dataclass(frozen=True, slots=True)
class Structure:
    """The result of :func:`examine`.

    Attributes:
        trusted: whether libsndfile reads all the sound.
        missing: the share of what the header announces that is not there; None where the file
            breaks off and no header says how much is missing.
        starts: bytes at which the recordings in the file begin; of more than :data:`MOST_JOINED`
            not all.
        samples: of a WAV file whose size is wrong, where its coding allows that.
    """

    trusted: bool = True
    missing: float | None = 0.0
    starts: tuple[int, ...] = (0,)
    samples: RawSamples | None = None


def examine(path: Path) -> Structure:
    """Look at the bytes of a file; one of an unknown kind gets the default.

    Raises:
        OSError: the file cannot be read.
    """
    status = path.stat()
    return _examined(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)  # a long file is read segment by segment
def _examined(path: Path, size: int, changed: int) -> Structure:
    if size < _OGG_HEADER:
        return Structure()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        starts = _beginnings(data)
        if len(starts) > 1:
            return Structure(trusted=False, starts=starts)
        if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
            return _wav(data)
        if data[:4] == b"RIFF":  # of AVI, too
            return _shorter(data, 8 + _integer(data, 4))
        if (at := data.find(_ASF_DATA, 0, 65536)) >= 0:
            return _shorter(data, at + _integer(data, at + 16, size=8))
        if data[:5] == _OGG:
            return _ogg(data)
        if data[:4] == b"NIST":
            return _sphere(data)
        if data[:3] == b"ID3" or _is_mp3_frame(data[:4]) or path.suffix.lower() == ".mp3":
            first = _first_mp3_frame(data)
            return Structure(trusted=False) if first is None else _mp3(data, first)
    return Structure()


def begins_like_a_recording(head: bytes) -> bool:
    """Whether the first bytes are those of a known container."""
    return head.startswith((_OGG, b"ID3")) or any(each.match(head) for *_, each in _BEGINNINGS)


def _beginnings(data: mmap.mmap) -> tuple[int, ...]:
    """Where recordings of the first one's kind begin; (0,) where its kind is not known."""
    for text, place, pattern in _BEGINNINGS:
        if pattern.match(data):
            starts = [0]
            at = data.find(text, place + 1)
            while at >= 0 and len(starts) <= MOST_JOINED:
                if pattern.match(data, at - place):
                    starts.append(at - place)
                at = data.find(text, at + 1)
            return tuple(starts)
    return (0,)


def shortened(log: str) -> float | None:
    """The share of the announced samples that libsndfile did not find, from its log of a header;
    None where the log only says that samples are missing."""
    for announced, actual in (map(int, match) for match in _SHORT_CHUNK.findall(log)):
        if actual + _SLACK_BYTES < announced < _UNKNOWN_SIZE:
            return 1 - actual / announced
    return None if "truncated file" in log else 0.0


def _integer(data: mmap.mmap | bytes, place: int, size: int = 4) -> int:
    """Read an unsigned little-endian integer of ``size`` bytes."""
    return int.from_bytes(data[place : place + size], "little")


def _shorter(data: mmap.mmap, announced: int) -> Structure:
    there = len(data) + _SLACK_BYTES
    return Structure(missing=1 - len(data) / announced if there < announced else 0.0)


def _chunks(data: mmap.mmap, place: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, start and size of a WAV file's chunks, the first of which is at ``place``."""
    for _ in range(_CHUNKS):
        if place + 8 > len(data):
            return
        size = _integer(data, place + 4)
        yield data[place : place + 4], place + 8, size
        place += 8 + size + size % 2


def _wav(data: mmap.mmap) -> Structure:
    layout = b""
    for name, start, size in _chunks(data, 12):
        if name == b"fmt ":
            layout = data[start : start + min(size, 40)]
        elif name == b"data":
            there = len(data) - start
            if _UNKNOWN_SIZE > size > there:
                return Structure(missing=1 - there / size)
            followed = _chunks_follow(data, start + size + size % 2)
            if (_UNKNOWN_SIZE > size > 0 and followed) or not there:
                break
            return Structure(trusted=False, samples=_samples(data, layout, start))
    return Structure()


def _samples(data: mmap.mmap, layout: bytes, start: int) -> RawSamples | None:
    """The samples from ``start`` on as a format chunk describes them; None for codings in blocks.

    They end before a chunk of notes that ends with the file.
    """
    if len(layout) < 16:
        return None
    kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", layout[:16])
    if kind == _EXTENSIBLE and len(layout) >= 26:
        kind = _integer(layout, 24, size=2)
    coding = _CODINGS.get((kind, bits))
    notes = data.rfind(b"LIST", max(start, len(data) - _BLOCK))
    ends_file = notes >= 0 and notes + 8 + _integer(data, notes + 4) == len(data)
    end = notes if ends_file else len(data)
    if coding is None or not 0 < channels <= _CHANNELS:
        return None
    return RawSamples(start, end, rate, channels, coding)


def _chunks_follow(data: mmap.mmap, place: int) -> bool:
    """Whether only whole chunks, or less than one, follow from ``place`` on."""
    for name, start, size in _chunks(data, place):
        if not (name.isascii() and name.decode("ascii").isprintable()):
            # zeros fill up a block of a disk
            return len(data) - place <= _BLOCK and not any(data[place:])
        place = start + size + size % 2
    return place <= len(data) + 8


def _ogg(data: mmap.mmap) -> Structure:
    """In a chain each link begins with the first pages of its streams."""
    starts: list[int] = []
    place = 0
    while place >= 0 and len(starts) <= MOST_JOINED:
        starts.append(place)
        while data[place : place + 5] == _OGG and _flags(data, place) & _OGG_FIRST:
            place = _page_end(data, place)
        place = data.find(_OGG + bytes([_OGG_FIRST]), place)
    last = data.rfind(_OGG)
    cut = last + _OGG_HEADER > len(data) or _page_end(data, last) > len(data)
    ended = not cut and bool(_flags(data, last) & _OGG_LAST)
    return Structure(ended and len(starts) == 1, None if cut else 0.0, tuple(starts))


def _flags(data: mmap.mmap, page: int) -> int:
    return _integer(data, page + 5, size=1)


def _page_end(data: mmap.mmap, start: int) -> int:
    if start + _OGG_HEADER > len(data):
        return len(data) + 1
    segments = data[start + _OGG_HEADER - 1]
    table = data[start + _OGG_HEADER : start + _OGG_HEADER + segments]
    return start + _OGG_HEADER + segments + sum(table)


def _sphere(data: mmap.mmap) -> Structure:
    """SPHERE gives the number of samples, their size in bytes and the number of channels."""
    head = data[:_SPHERE_HEADER]
    fields = {key: int(value) for key, value in _SPHERE.findall(head)}
    n_bytes = fields.get(b"sample_n_bytes", 2) * fields.get(b"channel_count", 1)
    announced = fields.get(b"sample_count", 0) * n_bytes
    there = len(data) - _SPHERE_HEADER
    if b"shorten" in head or there >= announced or there <= 0:
        return Structure()
    return Structure(missing=1 - there / announced)


def _first_mp3_frame(data: mmap.mmap) -> int | None:
    place = 0
    if data[:3] == b"ID3":  # its size has seven bits in a byte
        place = 10 + sum(
            byte << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True)
        )
    at = data.find(b"\xff", place, place + 4096)
    while at >= 0 and not _is_mp3_frame(data[at : at + 4]):
        at = data.find(b"\xff", at + 1, place + 4096)
    return at if at >= 0 else None


def _is_mp3_frame(head: bytes) -> bool:
    """Whether four bytes begin a frame of layer III (ISO/IEC 11172-3, 2.4.1.3)."""
    return (
        len(head) == 4
        and head[0] == 0xFF
        and head[1] & 0xE6 == 0xE2
        and head[1] & 0x18 != 0x08
        and head[2] & 0xF0 not in (0x00, 0xF0)
        and head[2] & 0x0C != 0x0C
    )


def _side_information(head: bytes) -> int:
    """Bytes from a frame's start to the place of a Xing header."""
    mono, mpeg_1 = head[3] & 0xC0 == 0xC0, head[1] & 0x18 == 0x18
    return 4 + ((17 if mono else 32) if mpeg_1 else (9 if mono else 17))


def _mp3(data: mmap.mmap, first: int) -> Structure:
    """A Xing header, in the first frame, counts frames and bytes; others leave both unknown."""
    frames = (
        match.start() - distance
        for match in _XING.finditer(data)
        for distance in (13, 21, 36)
        if match.start() >= distance
        and _is_mp3_frame(head := data[match.start() - distance : match.start() - distance + 4])
        and _side_information(head) == distance
    )
    starts = list(islice(frames, MOST_JOINED + 1))
    if starts[:1] != [first]:
        return Structure(trusted=False, starts=(0, *starts))
    if len(starts) > 1:
        return Structure(trusted=False, starts=(0, *starts[1:]))
    place = first + _side_information(data[first : first + 4]) + 4
    flags = int.from_bytes(data[place : place + 4], "big")
    if flags & 3 != 3:
        return Structure(trusted=False)
    size = int.from_bytes(data[place + 8 : place + 12], "big")
    there = len(data) - first
    if size > there:
        return Structure(trusted=False, missing=1 - there / size)
    after = data[first + size : first + size + 4096]
    return Structure(trusted=not after.strip(b"\0") or _TAGS.match(after) is not None)
