"""Noise: its spectrum, its ratio to the signal, and where it comes from."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from scipy import signal

from deepspeech2.errors import ConfigError
from deepspeech2.seeding import generator
from deepspeech2.transforms import ColoredNoise, Gain, RecordedNoise
from deepspeech2.types import Padded

RATE = 16000


def write(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.astype(np.float32), RATE, subtype="FLOAT")


def batch_of(*lengths: int) -> Padded:
    random = generator("cpu", 5, *lengths)
    return Padded.stack([torch.randn(length, generator=random) * 0.1 for length in lengths])


def snr_db(clean: torch.Tensor, noisy: torch.Tensor) -> float:
    noise = (noisy - clean).double()
    return float(10 * (clean.double().square().mean() / noise.square().mean()).log10())


@pytest.mark.parametrize("exponent", [-2.0, -1.0, 0.0, 1.0, 2.0])
def test_slope_of_the_power_spectrum(exponent: float) -> None:
    ours = ColoredNoise(0, 0)
    noise = ours.colored(torch.full((4,), exponent), 200_000, generator("cpu", 1))
    frequencies, power = signal.welch(noise.numpy(), RATE, nperseg=8192)
    within = (frequencies > 50) & (frequencies < 6000)
    slope, _ = np.polyfit(np.log(frequencies[within]), np.log(power.mean(0)[within]), 1)
    assert slope == pytest.approx(-exponent, abs=0.05)


def test_drawn_ratio_is_kept_over_valid_samples() -> None:
    ours = ColoredNoise(3, 20)
    batch = batch_of(16000, 5000, 300)
    parameters = ours.sample(batch, generator("cpu", 2))
    output = ours.apply(batch, parameters)
    assert not output.data[~output.mask()].any()
    ratios = [snr_db(a, b) for a, b in zip(batch.unpad(), output.unpad(), strict=True)]
    assert ratios == pytest.approx(parameters.snr_db.tolist(), abs=0.01)
    assert len(set(parameters.snr_db.tolist())) == 3
    assert all(3 <= ratio <= 20 for ratio in parameters.snr_db.tolist())


def test_noise_depends_on_the_generator_alone() -> None:
    ours, batch = ColoredNoise(0, 30), batch_of(4000, 2000)
    first, second, other = (ours(batch, generator("cpu", seed)).data for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_silence_stays_silent() -> None:
    batch = Padded(torch.zeros(2, 1000), torch.tensor([1000, 0]))
    for ours in (ColoredNoise(0, 10), Gain(-6, 6)):
        assert not ours(batch, generator("cpu", 1)).data.any()


def test_recorded_noise_is_a_stretch_of_one_recording(tmp_path: Path) -> None:
    # Ramps: the value tells the recording by its sign, and the place in it.
    write(tmp_path / "a.wav", np.arange(1, 3001) / 3000)
    write(tmp_path / "deep" / "b.WAV", -np.arange(1, 501) / 500)
    ours = RecordedNoise(tmp_path, 0, 10)
    batch = batch_of(*[1200] * 40)
    noise = ours.noise(batch, generator("cpu", 1))
    seen = set()
    for row in noise.double():
        length = 3000 if row[0] > 0 else 500
        place = (row.abs() * length).round().long() - 1
        expected = (place[0] + torch.arange(1200)) % length
        assert torch.equal(place, expected)
        seen.add((length, int(place[0])))
    assert {length for length, _ in seen} == {3000, 500}
    assert len(seen) > 30
    output = ours.apply(batch, parameters := ours.sample(batch, generator("cpu", 1)))
    assert snr_db(batch.data[0], output.data[0]) == pytest.approx(
        float(parameters.snr_db[0]), abs=0.01
    )


def test_silent_and_broken_recordings_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "silent.wav", np.zeros(100))
    (tmp_path / "broken.flac").write_bytes(b"no audio")
    (tmp_path / "notes.txt").write_text("not looked at")
    ours = RecordedNoise(tmp_path, 0, 0)
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(ConfigError, match="audio that is not silent"),
    ):
        ours(batch_of(100), generator("cpu", 1))
    assert "silent.wav" in caplog.text
    assert "broken.flac" in caplog.text
    assert "notes.txt" not in caplog.text


def test_half_silent_noise_gives_no_nan(tmp_path: Path) -> None:
    write(tmp_path / "a.wav", np.concatenate([np.full(10, 0.5), np.zeros(5000)]))
    output = RecordedNoise(tmp_path, 0, 0)(batch_of(*[50] * 20), generator("cpu", 1))
    assert output.data.isfinite().all()


def test_missing_folder_and_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is missing: .*nowhere"):
        RecordedNoise(tmp_path / "nowhere", 0, 10)
    with pytest.raises(ConfigError, match="but has none"):
        RecordedNoise(tmp_path, 0, 10)


def test_gain_in_decibels() -> None:
    batch, ours = batch_of(100, 50), Gain(-12, 6)
    gains = ours.sample(batch, generator("cpu", 1))
    assert all(-12 <= gain <= 6 for gain in gains.tolist())
    output = ours.apply(batch, torch.tensor([20.0, -20.0]))
    torch.testing.assert_close(output.data[0], batch.data[0] * 10)
    torch.testing.assert_close(output.data[1], batch.data[1] / 10)


def test_wrong_arguments() -> None:
    with pytest.raises(ConfigError, match=r"min_snr_db must be at most max_snr_db \(5\)"):
        ColoredNoise(10, 5)
    with pytest.raises(ConfigError, match="max_exponent must be finite, but is nan"):
        ColoredNoise(0, 5, 0, float("nan"))
    with pytest.raises(ConfigError, match="max_gain_db must be finite, but is inf"):
        Gain(0, float("inf"))
