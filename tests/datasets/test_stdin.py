"""What is piped into audio=-: recordings of any kind as they are, anything else as raw samples."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepspeech2.audio.reading import read_audio
from deepspeech2.datasets import audio_corpus as recording
from tests.audio.recordings import KINDS, write

RATE = 16000


@pytest.mark.parametrize(
    "kind",
    [kind for kind in KINDS if kind.muxer not in ("adts", "mp2", "ac3", "eac3", "mpeg")],
    ids=str,
)
def test_a_recording_is_recognised(
    tmp_path: Path, kind: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "FOLDER", str(tmp_path / "kept"))
    samples = 0.1 * np.random.default_rng(0).standard_normal((RATE, 1))
    content = write(tmp_path / f"a.{kind.ending}", kind, samples, RATE).read_bytes()
    path = recording.record_stdin(8000, io.BytesIO(content))
    assert path.read_bytes() == content
    assert abs(len(read_audio(path)) / RATE - 1) < 0.2


def test_anything_else_is_raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "FOLDER", str(tmp_path))
    samples = np.random.default_rng(0).integers(-3000, 3000, 8000).astype("<i2")
    path = recording.record_stdin(8000, io.BytesIO(samples.tobytes()))
    read, rate = soundfile.read(path, dtype="int16")
    assert rate == 8000
    np.testing.assert_array_equal(read, samples)
