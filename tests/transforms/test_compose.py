"""Each utterance gets what was drawn for it, and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deepspeech2.errors import ConfigError
from deepspeech2.seeding import generator
from deepspeech2.transforms import (
    Compose,
    Gain,
    HighPassFilter,
    LowPassFilter,
    OneOf,
    RandomApply,
    SpeedPerturbation,
)
from deepspeech2.types import Padded


class Add:
    """Adds a number to the valid samples."""

    def __init__(self, number: float) -> None:
        self.number = number

    def __call__(self, waveforms: Padded, generator: torch.Generator) -> Padded:
        return Padded(waveforms.data + self.number, waveforms.lengths).masked()

    def shortest(self, lengths: Tensor) -> Tensor:
        return lengths

    def longest(self, lengths: Tensor) -> Tensor:
        return lengths


def zeros(count: int) -> Padded:
    return Padded(torch.zeros(count, 3), torch.tensor([3, 2] * (count // 2)))


def shares(output: Padded, numbers: list[float]) -> list[float]:
    return [float((output.data[:, 0] == number).double().mean()) for number in numbers]


def test_compose_keeps_the_order() -> None:
    chain = Compose([Add(1), Gain(20, 20), Add(2)])
    output = chain(zeros(2), generator("cpu", 1))
    torch.testing.assert_close(output.data, torch.tensor([[12.0, 12, 12], [12, 12, 0]]))
    batch = zeros(2)
    assert Compose([])(batch, generator("cpu", 1)) is batch


@pytest.mark.parametrize("p", [0.0, 0.25, 1.0])
def test_random_apply_is_drawn_for_each_utterance(p: float) -> None:
    output = RandomApply(Add(1), p)(zeros(4000), generator("cpu", 1))
    assert shares(output, [1, 0]) == pytest.approx([p, 1 - p], abs=0.03 * (0 < p < 1))


def test_one_of_follows_p_and_weights() -> None:
    choice = OneOf([Add(1), Add(2), Add(3)], p=0.8, weights=[1, 3, 0])
    output = choice(zeros(8000), generator("cpu", 1))
    assert shares(output, [0, 1, 2, 3]) == pytest.approx([0.2, 0.2, 0.6, 0], abs=0.02)
    always = OneOf([Add(1), Add(2)], p=1)(zeros(8000), generator("cpu", 1))
    assert shares(always, [0, 1, 2]) == pytest.approx([0, 0.5, 0.5], abs=0.02)


def test_filters_at_once_are_as_filters_one_by_one() -> None:
    # The high pass rings far longer than the low pass, and most at the edges of an offset.
    low, high = LowPassFilter(4000, 4000), HighPassFilter(40, 40)
    waveform = torch.randn(3200, generator=generator("cpu", 1)) + 1
    batch = Padded.stack([waveform] * 30 + [waveform[:1000]] * 30)
    output = OneOf([low, high], p=0.6)(batch, generator("cpu", 2))
    results = [batch, low(batch, generator("cpu", 3)), high(batch, generator("cpu", 3))]
    found = []
    for index, row in enumerate(output.data):
        distances = [float((row - result.data[index]).abs().max()) for result in results]
        assert min(distances) < 1e-5
        found.append(distances.index(min(distances)))
        assert found[-1] or torch.equal(row, batch.data[index])
    assert set(found) == {0, 1, 2}


@pytest.mark.parametrize("inside", [RandomApply, lambda speed, p: OneOf([speed, Add(0)], p)])
def test_lengths_may_change_inside(inside) -> None:
    batch = Padded.stack([torch.ones(length) for length in [1000, 500] * 10])
    transform = inside(SpeedPerturbation([0.5, 2.0]), 0.7)
    output = transform(batch, generator("cpu", 4))
    assert {(500, 2000), (1000, 1000), (1000, 500)} & set(
        zip(output.lengths.tolist(), [1000, 500] * 10, strict=True)
    ) <= {(1000, 500), (1000, 1000)}
    assert set(output.lengths[::2].tolist()) == {500, 1000, 2000}
    assert not output.data[~output.mask()].any()
    assert output.data.shape[1] == 2000
    assert transform.shortest(batch.lengths).tolist() == [500, 250] * 10
    assert Compose([transform, transform]).shortest(batch.lengths).tolist() == [250, 125] * 10
    assert transform.longest(batch.lengths).tolist() == [2000, 1000] * 10
    assert Compose([transform, transform]).longest(batch.lengths).tolist() == [4000, 2000] * 10


def test_slower_only_is_never_shorter_nor_faster_longer() -> None:
    slower = RandomApply(SpeedPerturbation([0.5]), 0.5)
    assert slower.shortest(torch.tensor([10, 20])).tolist() == [10, 20]
    faster = OneOf([SpeedPerturbation([2.0])], 0.5)
    assert faster.longest(torch.tensor([10, 20])).tolist() == [10, 20]


def test_wrong_arguments() -> None:
    with pytest.raises(ConfigError, match=r"p must be between 0 and 1, but is 1.5"):
        RandomApply(Add(1), 1.5)
    with pytest.raises(ConfigError, match="transforms must be a list that is not empty"):
        OneOf([], 1)
    with pytest.raises(ConfigError, match=r"weights must be 1 numbers.*, but is \[1, 2\]"):
        OneOf([Add(1)], 1, [1, 2])
    with pytest.raises(ConfigError, match=r"not all of them 0, but is \[0, 0\]"):
        OneOf([Add(1), Add(2)], 1, [0, 0])
