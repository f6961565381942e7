"""Alarms: given for what is wrong, once, and never for an ordinary run."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from src.trainer.alarms import Alarms, Reading, augmentation_idle
from src.transforms import (
    Compose,
    FrontEnd,
    Gain,
    LogMelSpectrogram,
    RandomApply,
    SpecAugment,
    SpeedPerturbation,
)
from src.types import Padded


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


def ordinary(
    seed: int, *, every: int = 50, total: int = 6000, noise: float = 0.25
) -> list[Reading]:
    """A plateau at 2.9 that gives way to learning, noisy, with blanks and a slow start of workers."""
    draw = np.random.default_rng(seed)
    found = []
    for step in range(every, total + 1, every):
        fall = 1 / (1 + math.exp(-(step - 900) / 250))
        level = 12 * math.exp(-step / 60) + 2.9 * (1 - fall) + fall * (0.3 + math.exp(-step / 2000))
        loss = level * (1 + noise * draw.standard_normal())
        found.append(
            reading(
                step,
                loss=max(loss, 0.01),
                learning_rate=one_cycle(step, total, 1e-3),
                waiting_share=0.9 if step <= 2 * every else float(draw.uniform(0, 0.15)),
                blank_share=1.0 if step < 700 else 0.9 - 0.3 * fall,
            )
        )
    return found


@pytest.mark.parametrize("seed", range(40))
def test_an_ordinary_run_is_silent(seed: int) -> None:
    assert said(ordinary(seed, noise=0.2)) == []


def test_only_blanks_is_said_once_and_not_too_early() -> None:
    early = [reading(step, blank_share=1.0) for step in range(50, 1000, 50)]
    assert said(early) == []
    late = early + [reading(step, blank_share=1.0) for step in range(1000, 3000, 50)]
    (sentence,) = said(late)
    assert "after 1050 steps 100.00 % of the output is still blank" in sentence
    assert "one_batch" in sentence
    once = early + [reading(1000, blank_share=1.0), reading(1050, blank_share=0.99)]
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


@pytest.mark.parametrize("seed", range(10))
def test_a_rate_that_makes_the_loss_rise_is_named(seed: int) -> None:
    run = ordinary(seed, noise=0.1)
    draw = np.random.default_rng(seed)
    diverging = []
    for one in run:
        rise = max(0, one.step - 2000) / 300
        loss = (one.loss or 0.0) * (1 + rise) + 0.05 * draw.standard_normal()
        diverging.append(reading(one.step, loss=loss, learning_rate=5e-4 * (1 + one.step / 1000)))
    (sentence,) = said(diverging)
    assert "the loss rose from" in sentence
    assert "lr_scheduler.max_lr=" in sentence
    proposed = float(sentence.rpartition("=")[2])
    assert proposed < 1.6e-3


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
