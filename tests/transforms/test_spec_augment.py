"""SpecAugment masks bands of the widths that it promises, and nothing else."""

from __future__ import annotations

import pytest
import torch

from deepspeech2.errors import ConfigError
from deepspeech2.seeding import generator
from deepspeech2.transforms import SpecAugment
from deepspeech2.types import Padded


def ones(*lengths: int, n_features: int = 40) -> Padded:
    return Padded.stack([torch.ones(length, n_features) for length in lengths])


def runs(mask: torch.Tensor) -> list[tuple[int, int]]:
    """(start, width) of each run of true values."""
    edges = torch.cat([torch.zeros(1), mask.float(), torch.zeros(1)]).diff()
    starts, ends = (edges > 0).nonzero()[:, 0], (edges < 0).nonzero()[:, 0]
    return [(int(a), int(b - a)) for a, b in zip(starts, ends, strict=True)]


def test_one_band_of_each_kind_within_its_limits() -> None:
    ours = SpecAugment(
        n_time_masks=1,
        max_time_width=30,
        max_time_share=0.2,
        n_frequency_masks=1,
        max_frequency_width=8,
    )
    lengths = [200, 100, 20] * 300
    masks = ours.sample(ones(*lengths), generator("cpu", 1))
    widths: dict[int, set[int]] = {200: set(), 100: set(), 20: set()}
    for length, time in zip(lengths, masks.time, strict=True):
        assert len(runs(time)) <= 1
        assert not time[length:].any()
        widths[length].add(int(time.sum()))
    assert {length: max(seen) for length, seen in widths.items()} == {200: 30, 100: 20, 20: 4}
    assert widths[20] == {0, 1, 2, 3, 4}
    assert all(len(runs(row)) <= 1 for row in masks.frequency)
    assert set(masks.frequency.sum(1).tolist()) == set(range(9))
    assert masks.frequency.any(0).all(), "every feature is masked now and then"
    assert masks.time[::3].any(0).all(), "every frame is masked now and then"


def test_masked_is_zero_and_the_rest_untouched() -> None:
    batch = ones(100, 60)
    ours = SpecAugment(max_time_width=10, max_frequency_width=5)
    masks = ours.sample(batch, generator("cpu", 3))
    output = ours.apply(batch, masks)
    masked = masks.time[:, :, None] | masks.frequency[:, None]
    assert masked.any(dim=(1, 2)).all()
    assert torch.equal(output.data, batch.data * ~masked)
    assert torch.equal(output.lengths, batch.lengths)


def test_p_is_the_share_of_masked_utterances() -> None:
    batch = ones(*[100] * 1000)
    ours = SpecAugment(n_time_masks=5, max_time_share=0.5, p=0.3)
    output = ours(batch, generator("cpu", 1)).data
    changed = (output == 0).any(dim=(1, 2)).double().mean()
    assert float(changed) == pytest.approx(0.3, abs=0.05)


def test_without_masks_nothing_changes() -> None:
    batch = ones(50, 1)
    ours = SpecAugment(n_time_masks=0, n_frequency_masks=0)
    assert torch.equal(ours(batch, generator("cpu", 1)).data, batch.data)


def test_wrong_arguments() -> None:
    with pytest.raises(ConfigError, match="n_time_masks must be 0 or more, but is -1"):
        SpecAugment(n_time_masks=-1)
    with pytest.raises(ConfigError, match="max_time_share must be between 0 and 1, but is 2"):
        SpecAugment(max_time_share=2)
