"""Speed perturbation against soxr, sines, and alone against in a batch."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import soxr
import torch
from scipy import signal

from deepspeech2.errors import ConfigError
from deepspeech2.seeding import generator
from deepspeech2.transforms import SpeedPerturbation
from deepspeech2.types import Padded


def band_limited(length: int, *, hz: float = 6000) -> torch.Tensor:
    noise = torch.randn(length, generator=generator("cpu", length)).double().numpy()
    filtered = signal.sosfiltfilt(signal.butter(10, hz, fs=16000, output="sos"), noise)
    return torch.from_numpy(0.1 * filtered.copy()).float()


@pytest.mark.parametrize("factor", [0.9, 1.1, 0.95, 1.25, 0.5])
def test_equals_soxr(factor: float) -> None:
    ours, waveform = SpeedPerturbation([factor]), band_limited(16000, hz=5000)
    output = ours(Padded.stack([waveform]), generator("cpu", 1)).data[0].double().numpy()
    ratio = Fraction(str(factor))
    theirs = soxr.resample(
        waveform.double().numpy(), ratio.numerator, ratio.denominator, quality="VHQ"
    )
    middle = slice(1000, min(len(theirs), len(output)) - 1000)
    error = np.square(output[middle] - theirs[middle]).mean()
    assert 10 * np.log10(error / np.square(theirs[middle]).mean()) < -60


def test_what_cannot_be_represented_is_removed_and_not_folded_back() -> None:
    phase = torch.arange(32000, dtype=torch.float64) * (2 * torch.pi * 7000 / 16000)
    sine = torch.sin(phase).float()
    output = SpeedPerturbation([1.5])(Padded.stack([sine]), generator("cpu", 1)).data[0]
    assert output[500:-500].abs().max() < 1e-3


def test_lengths_are_exact_and_padding_stays_zero() -> None:
    lengths = [16000, 12345, 999, 7, 1, 0]
    ours = SpeedPerturbation()
    batch = Padded.stack([band_limited(max(length, 100))[:length] for length in lengths])
    for index, factor in enumerate([Fraction(9, 10), Fraction(1), Fraction(11, 10)]):
        output = ours.apply(batch, torch.full((6,), index))
        assert output.lengths.tolist() == [math.ceil(length / factor) for length in lengths]
        assert output.data.shape[1] == int(output.lengths.max())
        assert not output.data[~output.mask()].any()
    assert ours.shortest(batch.lengths).tolist() == [math.ceil(n * 10 / 11) for n in lengths]
    assert torch.equal(ours.apply(batch, torch.ones(6, dtype=torch.int64)).data, batch.data)


def test_alone_as_in_a_batch() -> None:
    waveforms = [band_limited(length) for length in (9000, 4001, 100, 700)]
    ours, drawn = SpeedPerturbation(), torch.tensor([2, 0, 0, 1])
    output = ours.apply(Padded.stack(waveforms), drawn)
    for index, row in enumerate(output.unpad()):
        alone = ours.apply(Padded.stack([waveforms[index]]), drawn[index : index + 1])
        torch.testing.assert_close(alone.data[0], row, atol=1e-6, rtol=0)


def test_every_factor_is_drawn() -> None:
    batch = Padded(torch.zeros(300, 1), torch.ones(300, dtype=torch.int64))
    counts = SpeedPerturbation().sample(batch, generator("cpu", 1)).bincount()
    assert len(counts) == 3
    assert counts.min() > 60


def test_wrong_arguments() -> None:
    with pytest.raises(ConfigError, match=r"factors must be a list that is not empty, but is \[\]"):
        SpeedPerturbation([])
    with pytest.raises(ConfigError, match=r"factors must be from 0.25 to 4 .*, but is 0"):
        SpeedPerturbation([0.9, 0])
    with pytest.raises(ConfigError, match=r"two decimals, but is 0.999"):
        SpeedPerturbation([0.999])
