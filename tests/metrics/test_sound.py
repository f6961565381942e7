"""Recordings of any kind and length that a page brings."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from deepspeech2.metrics.analysis import Row
from deepspeech2.metrics.edits import EditCounts
from deepspeech2.metrics.html import sound
from tests.audio.recordings import KINDS, Kind, write

RATE = 16000


def heard(folder: Path, name: str, **fields: object) -> tuple[np.ndarray[Any, Any], int]:
    row = Row("u", "", "", EditCounts(), EditCounts(), {"audio_path": name, **fields})
    found = sound(row, [folder])
    assert found is not None
    assert len(base64.b64decode(found["picture"])) == found["width"] * found["height"]
    return soundfile.read(io.BytesIO(base64.b64decode(found["audio"])))


def tone(hz: float, seconds: float, rate: int = RATE) -> np.ndarray[Any, Any]:
    return 0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def pitch(samples: np.ndarray[Any, Any], rate: int) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples))


def test_minutes(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(440, 200), RATE)
    samples, rate = heard(tmp_path, "a.wav")
    assert len(samples) / rate == pytest.approx(200, abs=0.1)


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if str(kind) in ("aac.m4a", "libopus.webm", "aac.mp4")], ids=str
)
def test_recordings_of_phones_and_browsers(tmp_path: Path, kind: Kind) -> None:
    name = write(tmp_path / f"a.{kind.ending}", kind, tone(440, 2)[:, None], RATE).name
    samples, rate = heard(tmp_path, name, offset=0.5, duration=1.0)
    assert len(samples) / rate == pytest.approx(1.0, abs=0.05)
    assert pitch(samples, rate) == pytest.approx(440, abs=5)


def test_the_channel_that_was_scored(tmp_path: Path) -> None:
    both = np.stack([tone(300, 1), tone(800, 1)], axis=1)
    soundfile.write(tmp_path / "a.flac", both, RATE)
    for channel, hz in ((1, 300), ("2", 800)):
        assert pitch(*heard(tmp_path, "a.flac", channel=channel)) == pytest.approx(hz, abs=5)


def test_a_low_rate_stays_and_a_high_one_is_brought_down(tmp_path: Path) -> None:
    for own, expected in ((8000, 8000), (44100, 16000)):
        soundfile.write(tmp_path / "a.wav", tone(440, 1, own), own)
        (tmp_path / "a.wav").rename(tmp_path / f"{own}.wav")
        samples, rate = heard(tmp_path, f"{own}.wav")
        assert rate == expected
        assert pitch(samples, rate) == pytest.approx(440, abs=5)


def test_what_cannot_be_read_has_no_sound(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF no more")
    for name in ("a.wav", "gone.wav", None, 7):
        row = Row("u", "", "", EditCounts(), EditCounts(), {"audio_path": name})
        assert sound(row, [tmp_path]) is None
