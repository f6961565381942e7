"""A recording in blocks against the same recording read at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from deepspeech2.audio.blocks import blocks
from deepspeech2.audio.reading import read_audio
from deepspeech2.errors import AudioError, ConfigError
from tests.audio.test_reading import LOSSLESS, cut, noise, tone, write

RATE = 16000


def whole(path: Path, **options: float) -> np.ndarray:
    return np.concatenate(list(blocks(path, **options)))


@pytest.mark.parametrize("suffix", [*LOSSLESS, "mp3", "ogg"])
@pytest.mark.parametrize("seconds", [0.013, 0.5, 60.0])
def test_blocks_hold_what_is_read_at_once(tmp_path: Path, suffix: str, seconds: float) -> None:
    path = write(tmp_path, suffix, noise(1.3, channels=2))
    tolerance = 0.0 if suffix in LOSSLESS else 1e-6  # the decoders of lossy codecs round otherwise
    pieces, at_once = whole(path, seconds=seconds), read_audio(path).numpy()
    np.testing.assert_allclose(pieces, at_once, rtol=0, atol=tolerance)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_another_rate_is_converted_without_seams(tmp_path: Path, rate: int) -> None:
    path = write(tmp_path, "wav", tone(3.0, rate), rate)
    at_once = read_audio(path).numpy()
    pieces = whole(path, seconds=0.1)
    assert len(pieces) == len(at_once)
    np.testing.assert_allclose(pieces, at_once, atol=2e-4)


@pytest.mark.parametrize(("offset", "duration"), [(0.25, 0.5), (0.0, 0.7), (1.0, None)])
def test_a_part_of_a_recording(tmp_path: Path, offset: float, duration: float | None) -> None:
    path = write(tmp_path, "flac", noise(2.0))
    np.testing.assert_array_equal(
        np.concatenate(list(blocks(path, seconds=0.1, offset=offset, duration=duration))),
        read_audio(path, offset=offset, duration=duration).numpy(),
    )


def test_blocks_are_no_longer_than_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, "wav", noise(2.0))
    assert [len(block) for block in blocks(path, seconds=0.6)] == [9600, 9600, 9600, 3200]


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
def test_what_is_cut_off_is_an_error(tmp_path: Path, suffix: str) -> None:
    path = cut(write(tmp_path, suffix, noise(4.0)), 0.6)
    with pytest.raises(AudioError, match="cut off"):
        list(blocks(path, seconds=0.5))


def test_samples_that_are_not_finite_are_an_error(tmp_path: Path) -> None:
    samples = np.zeros(RATE, np.float32)
    samples[9000] = np.nan
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match="not finite"):
        list(blocks(path, seconds=0.5))


@pytest.mark.parametrize("options", [{"sample_rate": 0}, {"seconds": 0.0}])
def test_absurd_sizes_are_refused(tmp_path: Path, options: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        list(blocks(tmp_path / "a.wav", **options))
