"""Decoded samples against what was written, and every way in which a file can be broken."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from deepspeech2.audio.blocks import blocks
from deepspeech2.audio.reading import AUDIO_SUFFIXES, AudioInfo, probe, probe_all, read_audio
from deepspeech2.errors import AudioError, ConfigError

RATE = 16000
OPTIONS = {"opus": {"format": "OGG", "subtype": "OPUS"}, "sph": {"format": "NIST"}}
LOSSLESS = ["wav", "flac", "aiff", "au", "caf", "w64", "rf64", "sph", "voc"]
LOSSY = ["ogg", "opus", "mp3"]


def noise(seconds: float, channels: int = 1) -> np.ndarray:
    """Samples that fit in 16 bits without loss."""
    size = (round(seconds * RATE), channels)
    return np.random.default_rng(0).integers(-8000, 8000, size).astype(np.int16)


def tone(seconds: float, rate: int, hertz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def write(folder: Path, suffix: str, samples: np.ndarray, rate: int = RATE) -> Path:
    path = folder / f"a.{suffix}"
    soundfile.write(path, samples, rate, **OPTIONS.get(suffix, {}))
    return path


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_formats_give_what_was_written(tmp_path: Path, suffix: str) -> None:
    samples = noise(1.0)
    path = write(tmp_path, suffix, samples)
    expected = torch.from_numpy(samples[:, 0].astype(np.float32) / 32768)
    torch.testing.assert_close(read_audio(path), expected, rtol=0, atol=0)
    assert probe(path) == AudioInfo(1.0, RATE, 1)
    assert path.suffix in AUDIO_SUFFIXES


@pytest.mark.parametrize("suffix", LOSSY)
def test_lossy_formats_keep_length_and_tone(tmp_path: Path, suffix: str) -> None:
    samples = tone(2.0, RATE)
    path = write(tmp_path, suffix, samples)
    waveform = read_audio(path).numpy()
    assert waveform.shape == samples.shape
    assert np.corrcoef(waveform, samples)[0, 1] > 0.99
    assert path.suffix in AUDIO_SUFFIXES


def test_channels_are_averaged(tmp_path: Path) -> None:
    samples = noise(0.5, channels=3)
    waveform = read_audio(write(tmp_path, "flac", samples)).numpy()
    np.testing.assert_allclose(waveform, samples.mean(axis=1) / 32768, atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_another_rate_is_converted(tmp_path: Path, rate: int) -> None:
    path = write(tmp_path, "wav", tone(1.0, rate), rate)
    waveform = read_audio(path).numpy()
    expected = tone(1.0, RATE)
    assert len(waveform) == RATE
    inner = slice(800, -800)  # the ends ring
    np.testing.assert_allclose(waveform[inner], expected[inner], atol=2e-3)
    assert probe(path) == AudioInfo(1.0, rate, 1)


def test_a_stretch_is_that_slice_of_the_whole(tmp_path: Path) -> None:
    path = write(tmp_path, "flac", noise(2.0))
    whole = read_audio(path)
    stretch = read_audio(path, offset=0.25, duration=0.5)
    torch.testing.assert_close(stretch, whole[4000:12000], rtol=0, atol=0)
    assert torch.equal(read_audio(path, offset=1.5), whole[24000:])


def test_a_rounded_duration_may_exceed_the_file_but_not_by_much(tmp_path: Path) -> None:
    path = write(tmp_path, "wav", noise(1.96))
    assert len(read_audio(path, duration=2.0)) == round(1.96 * RATE)
    with pytest.raises(AudioError, match=r"ends at 1\.96 s, before .* ends at 2\.50 s"):
        read_audio(path, duration=2.5)
    with pytest.raises(AudioError, match=r"ends at 1\.96 s, before .* starts at 3\.00 s"):
        read_audio(path, offset=3.0)


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("scale", [1.5, 32768.0, 1e20])
def test_loud_floats_are_scaled(tmp_path: Path, subtype: str, scale: float) -> None:
    path = tmp_path / "loud.wav"
    samples = tone(1.0, RATE).astype(np.float32) * 2
    soundfile.write(path, samples * scale, RATE, subtype=subtype)
    torch.testing.assert_close(read_audio(path), torch.from_numpy(samples))
    heard = np.concatenate(list(blocks(path, seconds=0.1)))
    np.testing.assert_allclose(heard, samples, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("suffix", [*sorted(set(LOSSLESS) - {"flac"}), "ogg", "opus"])
@pytest.mark.parametrize("share", [0.95, 0.5, 0.2])
def test_a_cut_file_shows_in_its_header(tmp_path: Path, suffix: str, share: float) -> None:
    path = cut(write(tmp_path, suffix, noise(6.0)), share)
    for act in (probe, read_audio):
        with pytest.raises(AudioError, match="cut off"):
            act(path)


@pytest.mark.parametrize("suffix", ["flac", "mp3"])
@pytest.mark.parametrize("share", [0.95, 0.5, 0.2])
def test_a_cut_file_shows_in_decoding(tmp_path: Path, suffix: str, share: float) -> None:
    path = cut(write(tmp_path, suffix, noise(6.0)), share)
    with pytest.raises(AudioError, match="cut off"):
        read_audio(path)


@pytest.mark.parametrize("suffix", ["ogg", "opus"])
def test_ogg_that_ends_without_its_last_page_is_read_to_its_end(
    tmp_path: Path, suffix: str
) -> None:
    """Voice messages have no end of the stream; a file cut between pages looks the same."""
    path = write(tmp_path, suffix, noise(6.0))
    data = path.read_bytes()
    path.write_bytes(data[: data.rfind(b"OggS")])
    duration = probe(path).duration
    assert 4.0 < duration < 6.0
    assert len(read_audio(path)) == pytest.approx(duration * RATE, abs=1)


@pytest.mark.parametrize("suffix", ["flac", "opus"])
def test_damage_in_the_middle_is_found(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, suffix, noise(6.0))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4000] = bytes(4000)
    path.write_bytes(data)
    with pytest.raises(AudioError, match="damaged or cut off"):
        read_audio(path)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000])
def test_a_wav_written_into_a_pipe_is_whole(tmp_path: Path, size: int) -> None:
    path = write(tmp_path, "wav", noise(1.0))
    data = bytearray(path.read_bytes())
    position = data.find(b"data") + 4
    data[position : position + 4] = struct.pack("<I", size)
    path.write_bytes(data)
    assert len(read_audio(path)) == RATE


def test_a_flac_of_unknown_length_is_read_to_its_end(tmp_path: Path) -> None:
    samples = noise(1.0)
    path = write(tmp_path, "flac", samples)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # STREAMINFO: 36 bits that count the samples, 0 for unknown
    data[22:26] = bytes(4)
    path.write_bytes(data)
    assert probe(path) == AudioInfo(1.0, RATE, 1)
    np.testing.assert_array_equal(read_audio(path).numpy() * 32768, samples[:, 0])


def test_what_is_no_recording_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no audio at all")
    (tmp_path / "text.raw").write_text("no audio at all")
    (tmp_path / "zero.wav").touch()
    soundfile.write(tmp_path / "none.wav", np.zeros(0), RATE)
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan]), RATE, subtype="FLOAT")
    expected = {
        "text.wav": "is no audio that libsndfile or FFmpeg can read",
        "text.raw": "is raw data without a header: convert it to WAV",
        "zero.wav": "is empty: the file has no bytes",
        "none.wav": "is empty: it contains no samples",
        "nan.wav": "contains samples that are not finite",
        "missing.wav": "does not exist",
        "": "is a folder, not a recording",
    }
    for name, message in expected.items():
        path = tmp_path / name
        with pytest.raises(AudioError) as caught:
            read_audio(path)
        assert str(caught.value) == f"{path} {message}"


@pytest.mark.parametrize(
    "options", [{"sample_rate": 0}, {"offset": -1.0}, {"duration": 0.0}], ids=str
)
def test_options_out_of_range(tmp_path: Path, options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(options))} must"):
        read_audio(tmp_path / "a.wav", **options)  # type: ignore[arg-type]


def test_probe_all_keeps_the_order_and_the_faults(tmp_path: Path) -> None:
    paths = [tmp_path / f"{index}.wav" for index in range(70)]
    for index, path in enumerate(paths):
        if index != 40:
            soundfile.write(path, np.zeros(160 * (index + 1)), RATE)
    results = probe_all(paths, n_workers=3)
    assert isinstance(results.pop(40), AudioError)
    durations = [info.duration for info in results if isinstance(info, AudioInfo)]
    assert durations == [(index + 1) / 100 for index in range(70) if index != 40]
    with pytest.raises(ConfigError, match="n_workers must be positive, but is 0"):
        probe_all(paths, n_workers=0)


def test_real_speech_is_whole(speech_data: Path) -> None:
    """No false alarm: FLAC and Opus of other encoders, and their decoded length."""
    root = speech_data / "LibriSpeech"
    paths = sorted(root.glob("test-*/*/*/*-000?.flac"))[:20]
    paths += sorted(root.glob("dev-*/*/*/*-0010.opus"))[:5]
    assert paths
    for path in paths:
        assert len(read_audio(path)) == round(probe(path).duration * RATE)
    assert all(isinstance(info, AudioInfo) for info in probe_all(sorted(root.rglob("*.opus"))))
