"""Rooms: decay, level and time of what they add, against numpy and against what was asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deepspeech2.errors import ConfigError
from deepspeech2.seeding import generator
from deepspeech2.transforms import RandomApply, Reverberation
from deepspeech2.transforms.reverberation import Rooms
from deepspeech2.types import Padded

RATE = 16000


def batch_of(*lengths: int) -> Padded:
    random = generator("cpu", 5, *lengths)
    return Padded.stack([torch.randn(length, generator=random) * 0.1 for length in lengths])


def one(rooms: Rooms, index: int) -> Rooms:
    here = slice(index, index + 1)
    return Rooms(rooms.rt60[here], rooms.drr_db[here], rooms.noise[here])


def decay_time(tail: np.ndarray) -> float:
    """RT60 in seconds: Schroeder's backward integral, fitted from -5 to -35 dB (ISO 3382-1)."""
    energy = np.cumsum(tail[::-1] ** 2)[::-1]
    level = 10 * np.log10(energy / energy[0])
    within = (level < -5) & (level > -35)
    slope, _ = np.polyfit(np.flatnonzero(within) / RATE, level[within], 1)
    return -60 / slope


@pytest.mark.parametrize("rt60", [0.15, 0.4, 0.8, 1.5])
def test_sound_decays_in_the_time_asked_for(rt60: float) -> None:
    ours = Reverberation(rt60, rt60, 0, 0)
    responses = ours.responses(ours.sample(batch_of(*[100] * 20), generator("cpu", 1)))
    times = [decay_time(row[1:]) for row in responses.double().numpy()]
    assert times == pytest.approx([rt60] * 20, rel=0.1)
    assert np.mean(times) == pytest.approx(rt60, rel=0.02)


def test_short_decay_in_a_bank_of_long_ones() -> None:
    ours = Reverberation(0.2, 1.0, 0, 10)
    rooms = ours.sample(batch_of(*[100] * 20), generator("cpu", 2))
    for row, rt60 in zip(ours.responses(rooms).double().numpy(), rooms.rt60.tolist(), strict=True):
        assert decay_time(row[1:]) == pytest.approx(rt60, rel=0.1)


def test_direct_sound_stands_above_the_tail_as_asked_for() -> None:
    ours = Reverberation(0.15, 0.8, -3, 15)
    rooms = ours.sample(batch_of(*[100] * 20), generator("cpu", 3))
    responses = ours.responses(rooms).double()
    assert torch.equal(responses[:, 0], torch.ones(20).double())
    drr_db = -10 * responses[:, 1:].square().sum(1).log10()
    torch.testing.assert_close(drr_db, rooms.drr_db.double(), atol=1e-4, rtol=0)
    assert -3 <= drr_db.min() < 1
    assert 11 < drr_db.max() <= 15


def test_output_is_numpys_convolution_at_the_power_of_the_input() -> None:
    ours = Reverberation(0.2, 0.5)
    batch = batch_of(12000, 3000, 70)
    rooms = ours.sample(batch, generator("cpu", 4))
    output = ours.apply(batch, rooms)
    assert not output.data[~output.mask()].any()
    for index, (before, after) in enumerate(zip(batch.unpad(), output.unpad(), strict=True)):
        response = ours.responses(rooms)[index].double().numpy()
        theirs = np.convolve(before.double().numpy(), response)[: len(before)]
        theirs *= np.sqrt(np.mean(before.double().numpy() ** 2) / np.mean(theirs**2))
        np.testing.assert_allclose(after.numpy(), theirs, atol=1e-6)
        assert float(after.square().mean()) == pytest.approx(float(before.square().mean()))


def test_alone_as_in_a_batch() -> None:
    ours = Reverberation()
    batch = batch_of(9000, 40000, 100, 1)
    rooms = ours.sample(batch, generator("cpu", 6))
    output = ours.apply(batch, rooms)
    assert torch.equal(output.lengths, batch.lengths)
    assert not output.data[~output.mask()].any()
    for index, row in enumerate(output.unpad()):
        alone = ours.apply(Padded.stack([batch.unpad()[index]]), one(rooms, index))
        torch.testing.assert_close(alone.data[0], row, atol=1e-6, rtol=0)


def test_times_hold() -> None:
    click = torch.zeros(1, 8000)
    click[0, 3000] = 1.0
    output = Reverberation(0.5, 0.5, 0, 0)(Padded(click, torch.tensor([8000])), generator("cpu", 7))
    sound = output.data[0]
    assert sound[:3000].abs().max() < 1e-6  # nothing is heard before
    assert int(sound.abs().argmax()) == 3000
    assert sound[3001:].abs().max() > 1e-3
    speech = batch_of(30000)
    heard = Reverberation(0.8, 0.8, -3, -3)(speech, generator("cpu", 8)).data[0].numpy()
    lags = np.correlate(heard, speech.data[0].numpy()[500:-500], "valid")
    assert np.argmax(lags) == 500


def test_rooms_depend_on_the_generator_and_differ_between_utterances() -> None:
    ours, batch = Reverberation(), batch_of(4000, 4000)
    first, second, other = (ours(batch, generator("cpu", seed)).data for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    rooms = ours.sample(batch, generator("cpu", 1))
    assert rooms.rt60[0] != rooms.rt60[1]
    assert not torch.equal(rooms.noise[0], rooms.noise[1])


def test_now_and_then() -> None:
    batch = batch_of(*[2000] * 200)
    output = RandomApply(Reverberation(), 0.3)(batch, generator("cpu", 1))
    changed = (output.data != batch.data).any(1)
    assert 40 < int(changed.sum()) < 80
    assert torch.equal(
        RandomApply(Reverberation(), 0.0)(batch, generator("cpu", 1)).data, batch.data
    )
    assert torch.equal(Reverberation().longest(batch.lengths), batch.lengths)


def test_silence_stays_silent() -> None:
    batch = Padded(torch.zeros(2, 1000), torch.tensor([1000, 0]))
    assert not Reverberation()(batch, generator("cpu", 1)).data.any()


def test_wrong_arguments() -> None:
    with pytest.raises(ConfigError, match="min_rt60 must be positive, but is 0"):
        Reverberation(0, 0.5)
    with pytest.raises(ConfigError, match=r"min_rt60 must be at most max_rt60 \(0.5\), but is 0.8"):
        Reverberation(0.8, 0.5)
    with pytest.raises(ConfigError, match="max_drr_db must be finite, but is inf"):
        Reverberation(0.1, 0.5, 0, float("inf"))
    with pytest.raises(ConfigError, match="sample_rate must be positive, but is 0"):
        Reverberation(sample_rate=0)
