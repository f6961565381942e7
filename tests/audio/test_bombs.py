"""Small or worthless files that would cost much."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepspeech2.audio import ffmpeg
from deepspeech2.audio.containers import MOST_JOINED
from deepspeech2.audio.reading import probe
from deepspeech2.errors import AudioError


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG"])
def test_thousands_of_joined_recordings_are_not_opened(tmp_path: Path, format: str) -> None:
    one = io.BytesIO()
    soundfile.write(one, np.zeros(16), 16_000, format=format)
    path = tmp_path / "a"
    path.write_bytes(one.getvalue() * (MOST_JOINED + 5))
    with pytest.raises(AudioError, match="more than 10000 recordings in one file: split it"):
        probe(path)


def test_a_header_of_many_parts_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FFmpeg seeks four times for each empty chunk of a WAV file."""
    head = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16)
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", 4_000_000) + head + b"junk\0\0\0\0" * 500_000)
    seek, sought = ffmpeg.Section.seek, [0]

    def counting(self: ffmpeg.Section, *arguments: int) -> int:
        sought[0] += 1
        return seek(self, *arguments)

    monkeypatch.setattr(ffmpeg.Section, "seek", counting)
    with pytest.raises(AudioError, match="make out its header"):
        probe(path)
    assert sought[0] < 200_000


def test_many_channels_count_as_many_seconds(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    with soundfile.SoundFile(path, "w", 96_000, 8) as file:
        for _ in range(20):
            file.write(np.zeros((96_000, 8), np.int16))
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the count of samples: unknown
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert probe(path).duration == pytest.approx(20)
    assert 10 <= probe(path, most=40).duration < 11  # as many samples as 40 s may contain
