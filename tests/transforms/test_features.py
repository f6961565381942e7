"""Spectrograms against torchaudio and torch.stft, and alone against in a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchaudio

from deepspeech2.errors import ConfigError
from deepspeech2.seeding import generator
from deepspeech2.transforms import LogMelSpectrogram, LogSpectrogram, Spectrogram
from deepspeech2.transforms.features import mirror_ends
from deepspeech2.types import Padded


def speechlike(length: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(length, generator=generator("cpu", seed, length))


def alone(waveform: torch.Tensor) -> Padded:
    return Padded(waveform[None], torch.tensor([len(waveform)]))


@pytest.mark.filterwarnings("ignore:At least one mel filterbank:UserWarning")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_mels": 40, "hop_length": 160},
        {"n_mels": 23, "f_min": 20.0, "f_max": 7600.0, "n_fft": 512},
        {"n_mels": 20, "n_fft": 401, "hop_length": 100},
    ],
)
def test_log_mel_equals_torchaudio(options: dict[str, float]) -> None:
    waveform = speechlike(12345)
    settings = {"sample_rate": 16000, "n_fft": 400, "hop_length": 200, "n_mels": 128} | options
    theirs = torchaudio.transforms.MelSpectrogram(**settings)(waveform).add(1e-6).log().T
    ours = LogMelSpectrogram(**settings)(alone(waveform))
    assert ours.data.dtype == torch.float32
    assert ours.lengths.tolist() == [len(theirs)]
    torch.testing.assert_close(ours.data[0], theirs, atol=2e-4, rtol=1e-4)


def test_log_spectrogram_equals_stft() -> None:
    waveform = speechlike(5000)
    features = LogSpectrogram(n_fft=320, hop_length=160)
    theirs = torch.stft(waveform, 320, 160, window=torch.hann_window(320), return_complex=True).T
    ours = features(alone(waveform))
    assert features.n_features == 161
    torch.testing.assert_close(
        ours.data[0], theirs.abs().square().add(1e-6).log(), atol=2e-4, rtol=1e-4
    )


@pytest.mark.parametrize("features", [LogMelSpectrogram(n_mels=40), LogSpectrogram()])
def test_alone_as_in_a_batch(features: Spectrogram) -> None:
    lengths = [16000, 12345, 4001, 400, 201, 200, 199, 50, 2, 1]
    waveforms = [speechlike(length) for length in lengths]
    stacked = Padded.stack(waveforms)
    garbage = torch.where(stacked.mask(), stacked.data, torch.tensor(7.0))
    batch = features(Padded(garbage, stacked.lengths))
    assert batch.lengths.tolist() == features.output_lengths(stacked.lengths).tolist()
    assert not batch.data[~batch.mask()].any()
    for waveform, together in zip(waveforms, batch.unpad(), strict=True):
        separate = features(alone(waveform))
        assert separate.data.shape[1] == int(separate.lengths)
        torch.testing.assert_close(separate.data[0], together, atol=1e-5, rtol=1e-5)


def test_mirror_equals_numpy() -> None:
    waveforms = [speechlike(length) for length in (30, 8, 7, 3, 2, 1)]
    mirrored = mirror_ends(Padded.stack(waveforms), 7)
    for waveform, row in zip(waveforms, mirrored, strict=True):
        expected = np.pad(waveform.numpy(), 7, mode="reflect")
        np.testing.assert_array_equal(row[: len(expected)].numpy(), expected)


def test_an_empty_utterance_has_no_frames() -> None:
    features = LogMelSpectrogram(n_mels=10)
    output = features(Padded(torch.zeros(2, 1000), torch.tensor([1000, 0])))
    assert output.lengths.tolist() == [6, 0]
    assert output.data.isfinite().all()
    assert not output.data[1].any()


def test_attributes_and_state() -> None:
    features = LogMelSpectrogram(sample_rate=8000, n_fft=200, hop_length=80, n_mels=24)
    assert (features.n_features, features.sample_rate, features.hop_length) == (24, 8000, 80)
    assert features.seconds_per_frame == pytest.approx(0.01)
    assert not features.state_dict()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_rate": 0}, "sample_rate must be positive, but is 0"),
        ({"n_fft": 1}, "n_fft must be at least 2, but is 1"),
        ({"hop_length": 0}, "hop_length must be from 1 to n_fft"),
        ({"n_mels": 0}, "n_mels must be at least 1, but is 0"),
        ({"f_max": 9000.0}, r"f_max must be above f_min .* but is 9000.0"),
        ({"f_min": -1.0}, "f_min must be 0 or more, but is -1.0"),
        ({"log_offset": 0.0}, "log_offset must be positive, but is 0.0"),
    ],
)
def test_wrong_arguments(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LogMelSpectrogram(**options)
