"""Alarms: given for what is wrong, once, and never for an ordinary run."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from deepspeech2.trainer.alarms import Alarms, Reading, augmentation_idle
from deepspeech2.transforms import (
    Compose,
    FrontEnd,
    Gain,
    LogMelSpectrogram,
    RandomApply,
    SpecAugment,
    SpeedPerturbation,
)
from deepspeech2.types import Padded


def reading(step: int, **values: float | None) -> Reading:
    usual: dict[str, float | None] = {
        "seconds": float(step),
        "loss": 1.0,
        "learning_rate": 1e-3,
        "waiting_share": 0.01,
        "blank_share": 0.8,
    }
    return Reading(step, **(usual | values))  # type: ignore[arg-type]


def said(readings: list[Reading]) -> list[str]:
    alarms = Alarms(num_workers=2, cached=False)
    return [sentence for one in readings for sentence in alarms.watch(one)]


def one_cycle(step: int, total: int, peak: float) -> float:
    rise = 0.1 * total
    if step < rise:
        return peak * (0.04 + 0.96 * step / rise)
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rise) / (total - rise)))


def learning(step: float) -> float:
    """Nats per character: a fall to the plateau of blanks, slightly up again in warm-up, down."""
    learnt = 1 / (1 + math.exp(-(step - 900) / 250))
    warm = 0.25 * math.exp(-(((step - 400) / 150) ** 2))
    plateau = 12 * math.exp(-step / 60) + 2.9 + warm
    return plateau * (1 - learnt) + learnt * (0.3 + math.exp(-step / 2000))


def curve(
    seed: int,
    level: Callable[[float], float] = learning,
    rate: Callable[[int], float] = lambda step: one_cycle(step, 6000, 1e-3),
    *,
    every: int = 50,
    total: int = 6000,
    noise: float = 0.4,
) -> list[Reading]:
    """Readings of a run whose batches' losses scatter by ``noise`` of their ``level``."""
    draw = np.random.default_rng(seed)
    found = []
    for step in range(every, total + 1, every):
        losses = [level(each) for each in range(step - every, step)]
        scatter = np.exp(noise * draw.standard_normal(every) - noise**2 / 2)
        found.append(
            reading(
                step,
                loss=float(np.mean(losses * scatter)),
                learning_rate=rate(step),
                waiting_share=0.9 if step <= 2 * every else float(draw.uniform(0, 0.15)),
                blank_share=1.0 if step < 700 else 0.85,
            )
        )
    return found


@pytest.mark.parametrize("every", [1, 10, 50, 200])
@pytest.mark.parametrize("seed", range(10))
def test_an_ordinary_run_is_silent(seed: int, every: int) -> None:
    assert said(curve(seed, every=every)) == []


@pytest.mark.parametrize("seed", range(10))
def test_a_long_flat_run_at_a_constant_rate_is_silent(seed: int) -> None:
    """The lowest of thousands of noisy readings is no level that later ones rose from."""
    assert said(curve(seed, lambda _: 1.0, lambda _: 1e-3, every=1, total=8000)) == []
    assert said(curve(seed, lambda _: 1.0, lambda _: 1e-3, total=100_000, noise=0.6)) == []


@pytest.mark.parametrize("seed", range(10))
def test_spikes_that_pass_and_losses_near_zero_are_silent(seed: int) -> None:
    spikes = {1500, 2500, 4000}

    def spiky(step: float) -> float:
        return learning(step) + (10.0 if int(step) // 100 * 100 in spikes else 0.0)

    assert said(curve(seed, spiky)) == []
    assert said(curve(seed, lambda step: 0.01 + 0.01 * (step > 3000), lambda _: 1e-3)) == []


@pytest.mark.parametrize("every", [1, 50, 200])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "diverging",
    [
        lambda step: min(12.0, learning(step) * (1 + max(0.0, step - 2000) / 300)),
        lambda step: learning(step) if step < 2000 else 2.9,  # forgot all and says only blanks
        lambda step: 1.0 if step < 2000 else 1e9,
    ],
)
def test_a_rate_that_makes_the_loss_rise_is_named(
    seed: int, every: int, diverging: Callable[[float], float]
) -> None:
    def rate(step: int) -> float:
        return 3e-3 * min(1.0, step / 3000)

    run = curve(seed, diverging, rate, every=every, total=5000)
    (sentence,) = said([replace(one, blank_share=0.8) for one in run])
    assert sentence.startswith("the loss rose from ")
    found = re.search(r"at step (\d+) \(.*at step (\d+) .*max_lr=(\S+) ", sentence)
    assert found is not None
    lowest, seen = int(found[1]), int(found[2])
    assert 200 <= lowest <= 2200 + 8 * every
    assert 2000 < seen <= 2500 + 12 * every
    assert 0 < float(found[3]) < rate(lowest)


def test_only_blanks_is_said_once_and_not_too_early() -> None:
    early = [reading(step, blank_share=1.0) for step in range(50, 1000, 50)]
    assert said(early) == []
    late = [*early, *(reading(step, blank_share=1.0) for step in range(1000, 3000, 50))]
    (sentence,) = said(late)
    assert "after 1050 steps 100.00 % of the output is still blank" in sentence
    assert "one_batch" in sentence
    once = [*early, reading(1000, blank_share=1.0), reading(1050, blank_share=0.99)]
    assert said(once) == []


def test_waiting_for_data_is_said_with_the_remedy() -> None:
    waiting = [reading(step, waiting_share=0.35) for step in range(10, 300, 10)]
    (sentence,) = said(waiting)
    assert "waits for data 35 % of the time" in sentence
    assert "dataloader.num_workers above 2, or decode the corpus once" in sentence
    cached = Alarms(num_workers=0, cached=True)
    (sentence,) = [each for one in waiting for each in cached.watch(one)]
    assert "cache" not in sentence
    assert said([reading(step, waiting_share=0.35) for step in range(10, 80, 10)]) == []
    assert said([reading(step, waiting_share=0.15) for step in range(10, 900, 10)]) == []


def test_waiting_now_and_then_is_silent() -> None:
    """A start of workers in each epoch, and validation within a reading's time."""
    run, seconds = [], 0.0
    for step in range(10, 1000, 10):
        first = step % 50 == 10
        seconds += 40.0 if first else 5.0
        run.append(reading(step, seconds=seconds, waiting_share=0.8 if first else 0.02))
    assert said(run) == []


def test_waiting_that_begins_late_is_said() -> None:
    run = [
        reading(step, waiting_share=0.02 if step < 50_000 else 0.4) for step in range(0, 51000, 20)
    ]
    (sentence,) = said(run)
    assert "waits for data" in sentence


def test_a_loss_that_rises_under_a_falling_rate_is_another_matter() -> None:
    falling = [
        reading(step, loss=1.0 if step < 1000 else 3.0, learning_rate=1.0 / step)
        for step in range(50, 3000, 50)
    ]
    assert said(falling) == []


def test_augmentations_that_change_nothing_are_named() -> None:
    draw = torch.Generator().manual_seed(0)
    waveforms = Padded(0.1 * torch.randn(4, 8000, generator=draw), torch.tensor([8000] * 4))
    features = LogMelSpectrogram(n_mels=16)
    useful = FrontEnd(
        features,
        waveform_transforms=[SpeedPerturbation(), RandomApply(Gain(-6, 6), p=0.05)],
        feature_transforms=[SpecAugment(max_frequency_width=4)],
    )
    assert augmentation_idle(useful, waveforms, draw) == []
    idle = FrontEnd(
        features,
        waveform_transforms=[
            SpeedPerturbation((1.0,)),
            Compose([RandomApply(Gain(-6, 6), p=0.0), Gain(-6, 6)]),
        ],
        feature_transforms=[SpecAugment(n_time_masks=0, n_frequency_masks=0)],
    )
    sentences = augmentation_idle(idle, waveforms, draw)
    assert [sentence.split()[0] for sentence in sentences] == [
        "SpeedPerturbation",
        "RandomApply",
        "SpecAugment",
    ]
    assert "transforms.waveform_transforms" in sentences[0]
    assert "transforms.feature_transforms" in sentences[2]


def test_augmentations_in_the_wrong_place_are_named() -> None:
    draw = torch.Generator().manual_seed(0)
    waveforms = Padded(0.1 * torch.randn(4, 8000, generator=draw), torch.tensor([8000] * 4))
    confused = FrontEnd(
        LogMelSpectrogram(n_mels=16),
        waveform_transforms=[SpecAugment(max_frequency_width=4)],
        feature_transforms=[Gain(-6, 6), SpeedPerturbation()],
    )
    assert augmentation_idle(confused, waveforms, draw) == [
        "SpecAugment in transforms.waveform_transforms cannot be applied to waveforms: move it to"
        " transforms.feature_transforms",
        "Gain in transforms.feature_transforms cannot be applied to features: move it to"
        " transforms.waveform_transforms",
        "SpeedPerturbation in transforms.feature_transforms cannot be applied to features: move it"
        " to transforms.waveform_transforms",
    ]
