"""Whether a file was cut off, where libsndfile itself says nothing.

A cut FLAC file fails while it is decoded. A cut WAV, AIFF, AU, W64, RF64, SPHERE or Ogg file
does not: libsndfile shortens the recording to what is there.
"""

from __future__ import annotations

import re
from pathlib import Path

import soundfile

# What libsndfile notes in its log when a chunk of samples is larger than the rest of the file.
_SHORT_CHUNK = re.compile(
    r"^ *(?:data|SSND|Data Size|riff|Riff size) *: (\d+) \(should be (\d+)\)", re.MULTILINE
)
# A writer that could not seek back (ffmpeg or SoX into a pipe) leaves the largest size there is.
_UNKNOWN_SIZE = 0x7FFF0000
_SLACK_BYTES = 8  # a chunk's own header, and its padding to an even size

# An Ogg page: 27 bytes of header, a table of up to 255 segments of up to 255 bytes (RFC 3533, 6).
_OGG_HEADER = 27
_OGG_LARGEST_PAGE = _OGG_HEADER + 255 + 255 * 255
_OGG_LAST_PAGE = 0x04

_SPHERE_HEADER = 1024
_SPHERE_COUNT = re.compile(rb"^sample_count -i (\d+)", re.MULTILINE)


def is_cut_off(file: soundfile.SoundFile, path: Path) -> bool:
    """Whether ``path``, opened as ``file``, ends before its header says. Decodes nothing."""
    if file.format == "OGG":
        return not _ends_with_last_ogg_page(path)
    if file.format == "NIST":
        with path.open("rb") as stream:
            count = _SPHERE_COUNT.search(stream.read(_SPHERE_HEADER))
        return count is not None and file.frames < int(count[1])
    if file.format in ("FLAC", "MP3"):  # found while decoding
        return False
    log = file.extra_info
    return "truncated file" in log or any(
        actual + _SLACK_BYTES < announced < _UNKNOWN_SIZE
        for announced, actual in (map(int, match) for match in _SHORT_CHUNK.findall(log))
    )


def _ends_with_last_ogg_page(path: Path) -> bool:
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _OGG_LARGEST_PAGE))
        tail = stream.read()
    start = tail.rfind(b"OggS\x00")
    if start < 0 or start + _OGG_HEADER > len(tail):
        return False
    segments = tail[start + _OGG_HEADER - 1]
    table = tail[start + _OGG_HEADER : start + _OGG_HEADER + segments]
    end = start + _OGG_HEADER + segments + sum(table)
    return bool(tail[start + 5] & _OGG_LAST_PAGE) and end <= len(tail)
