"""Filters against scipy's Butterworth filters and against sines."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import signal

from deepspeech2.errors import ConfigError
from deepspeech2.seeding import generator
from deepspeech2.transforms import BandPassFilter, HighPassFilter, LowPassFilter
from deepspeech2.transforms.features import bin_frequencies, fast_size
from deepspeech2.transforms.filters import ButterworthFilter
from deepspeech2.types import Padded

RATE = 16000
FILTERS = [
    (LowPassFilter(500, 1500), (torch.tensor([700.0]),), "lowpass", 700.0),
    (HighPassFilter(500, 1500, order=2), (torch.tensor([900.0]),), "highpass", 900.0),
    (
        BandPassFilter(1000, 2000, 0.5, 1.9),
        (torch.tensor([1200.0]), torch.tensor([1.5])),
        "bandpass",
        (300.0, 2100.0),
    ),
]


@pytest.mark.parametrize(("ours", "drawn", "kind", "edges"), FILTERS)
def test_response_is_scipys_squared(ours, drawn, kind, edges) -> None:
    sos = signal.butter(ours.order, edges, kind, fs=RATE, output="sos")
    frequencies = np.linspace(0, RATE / 2, 801)
    _, once = signal.freqz_sos(sos, frequencies, fs=RATE)
    gains = ours.response(ours.parameters(*drawn), torch.from_numpy(frequencies))
    np.testing.assert_allclose(gains[0].numpy(), np.abs(once) ** 2, atol=2e-5)


@pytest.mark.parametrize(("ours", "drawn", "kind", "edges"), FILTERS)
def test_output_is_that_of_a_forward_and_a_backward_pass(ours, drawn, kind, edges) -> None:
    sos = signal.butter(ours.order, edges, kind, fs=RATE, output="sos")
    waveform = torch.randn(8000, generator=generator("cpu", 1))
    # Silence on both sides, so that what rings out of the utterance is not lost to scipy.
    silence = np.zeros(8000)
    both = np.concatenate([silence, waveform.double().numpy(), silence])
    theirs = signal.sosfiltfilt(sos, both, padtype=None)[8000:16000]
    output = ours.apply(Padded.stack([waveform]), ours.parameters(*drawn))
    np.testing.assert_allclose(output.data[0].numpy(), theirs, atol=1e-4)


@pytest.mark.parametrize(
    ("hz", "gain"), [(100, 1.0), (500, 0.9963), (1000, 0.5), (2000, 0.0034), (4000, 0.0)]
)
def test_sines_through_a_low_pass_of_1000_hz(hz: int, gain: float) -> None:
    sine = torch.sin(torch.arange(RATE) * (2 * torch.pi * hz / RATE))
    ours = LowPassFilter(1000, 1000)
    output = ours(Padded.stack([sine]), generator("cpu", 1)).data[0]
    middle = slice(4000, 12000)
    torch.testing.assert_close(output[middle], gain * sine[middle], atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    "ours",
    [
        LowPassFilter(500, 1500),
        HighPassFilter(500, 1500),
        BandPassFilter(1000, 2000, 1.5, 1.99),
        HighPassFilter(20, 40),
    ],
)
def test_alone_as_in_a_batch(ours: ButterworthFilter) -> None:
    random = generator("cpu", 2)
    waveforms = [torch.randn(length, generator=random) for length in (9000, 40000, 100, 1)]
    batch = Padded.stack(waveforms)
    parameters = ours.sample(batch, random)
    output = ours.apply(batch, parameters)
    assert not output.data[~output.mask()].any()
    assert len(set(parameters.sum(1).tolist())) == 4
    for index, row in enumerate(output.unpad()):
        alone = ours.apply(Padded.stack([waveforms[index]]), parameters[index : index + 1])
        torch.testing.assert_close(alone.data[0], row, atol=1e-5, rtol=0)


def test_cutoffs_stay_within_their_range() -> None:
    ours = LowPassFilter(500, 1500)
    batch = Padded(torch.zeros(1000, 1), torch.ones(1000, dtype=torch.int64))
    c = 1 / ours.sample(batch, generator("cpu", 1))[:, 0]
    cutoffs = torch.atan(c) * RATE / torch.pi
    assert 499.9 < cutoffs.min() < 520
    assert 1470 < cutoffs.max() < 1500.1


def test_fast_size_is_the_least() -> None:
    def smooth(number: int) -> bool:
        for prime in (2, 3, 5):
            while number % prime == 0:
                number //= prime
        return number == 1

    for n in [1, 2, 3, 7, 121, 1001, 2049, 4375, 6001]:
        least = next(m for m in range(n, 3 * n + 2) if m % 2 == 0 and smooth(m))
        assert fast_size(n) == least


def test_bin_frequencies_are_those_of_numpy() -> None:
    ours = bin_frequencies(600, RATE, torch.device("cpu")).numpy()
    np.testing.assert_allclose(ours, np.fft.rfftfreq(600, 1 / RATE), rtol=1e-6)


def test_wrong_arguments() -> None:
    with pytest.raises(ConfigError, match="min_cutoff_hz must be positive, but is 0"):
        LowPassFilter(0, 100)
    with pytest.raises(ConfigError, match=r"max_cutoff_hz must be below .* \(8000\), but is 8000"):
        HighPassFilter(10, 8000)
    with pytest.raises(ConfigError, match=r"min_cutoff_hz must be at most max_cutoff_hz \(5\)"):
        HighPassFilter(10, 5)
    with pytest.raises(ConfigError, match="max_bandwidth_fraction must be below 2, but is 2"):
        BandPassFilter(1000, 2000, 1.5, 2)
    with pytest.raises(ConfigError, match="upper edge"):
        BandPassFilter(1000, 5000, 1.5, 1.9)
    with pytest.raises(ConfigError, match="order must be from 1 to 16, but is 0"):
        LowPassFilter(500, 1000, order=0)
