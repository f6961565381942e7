"""Combinations of transforms: all in order, one at random times, or one of several.

The choice is made for each utterance. Every transform runs on the whole batch and its result is
selected for the chosen utterances, so that nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from deepspeech2.transforms.filters import ButterworthFilter
from deepspeech2.transforms.tensors import as_transform
from deepspeech2.transforms.transform import (
    WaveformTransform,
    require,
    require_probability,
    select,
    uniform,
)
from deepspeech2.types import Padded


class Compose:
    """Applies transforms in order; an empty list leaves waveforms as they are."""

    def __init__(self, transforms: Sequence[WaveformTransform]) -> None:
        self.transforms = tuple(map(as_transform, transforms))

    def __call__(self, waveforms: Padded, generator: torch.Generator) -> Padded:
        for transform in self.transforms:
            waveforms = transform(waveforms, generator)
        return waveforms

    def shortest(self, lengths: Tensor) -> Tensor:
        for transform in self.transforms:
            lengths = transform.shortest(lengths)
        return lengths

    def longest(self, lengths: Tensor) -> Tensor:
        for transform in self.transforms:
            lengths = transform.longest(lengths)
        return lengths


class RandomApply:
    """Applies ``transform`` to each utterance with probability ``p``."""

    def __init__(self, transform: WaveformTransform, p: float) -> None:
        require_probability("p", p)
        self.transform = as_transform(transform)
        self.p = p

    def __call__(self, waveforms: Padded, generator: torch.Generator) -> Padded:
        chosen = uniform(waveforms, generator, 0, 1) < self.p
        return select(chosen, self.transform(waveforms, generator), waveforms)

    def shortest(self, lengths: Tensor) -> Tensor:
        return torch.minimum(lengths, self.transform.shortest(lengths))

    def longest(self, lengths: Tensor) -> Tensor:
        return torch.maximum(lengths, self.transform.longest(lengths))


class OneOf:
    """Applies, with probability ``p``, one of ``transforms`` to each utterance.

    Filters of the same order and sample rate together cost as much as one of them.

    Args:
        transforms: at least one.
        p: probability that an utterance is changed at all.
        weights: relative probability of each; None: all equal.
    """

    def __init__(
        self,
        transforms: Sequence[WaveformTransform],
        p: float,
        weights: Sequence[float] | None = None,
    ) -> None:
        require(len(transforms) > 0, "transforms", transforms, "a list that is not empty")
        require_probability("p", p)
        weights = [1.0] * len(transforms) if weights is None else list(weights)
        allowed = f"{len(transforms)} numbers, 0 or more, not all of them 0"
        valid = len(weights) == len(transforms) and min(weights) >= 0 and sum(weights) > 0
        require(valid, "weights", weights, allowed)
        self.transforms = tuple(map(as_transform, transforms))
        sums = list(accumulate(weights))
        self.bounds = [p * (part / sums[-1]) for part in sums]
        self._filters = _equal_filters(self.transforms)

    def __call__(self, waveforms: Padded, generator: torch.Generator) -> Padded:
        drawn = uniform(waveforms, generator, 0, 1)
        edges = pairwise((0.0, *self.bounds))
        chosen = [(low <= drawn) & (drawn < high) for low, high in edges]
        if self._filters:
            return _apply_filters(self._filters, chosen, waveforms, generator)
        output = waveforms
        for transform, here in zip(self.transforms, chosen, strict=True):
            output = select(here, transform(waveforms, generator), output)
        return output

    def shortest(self, lengths: Tensor) -> Tensor:
        results = [transform.shortest(lengths) for transform in self.transforms]
        return torch.stack([lengths, *results]).amin(0)

    def longest(self, lengths: Tensor) -> Tensor:
        results = [transform.longest(lengths) for transform in self.transforms]
        return torch.stack([lengths, *results]).amax(0)


def _equal_filters(transforms: Sequence[WaveformTransform]) -> list[ButterworthFilter]:
    """Return the transforms if all are filters that differ in parameters only, otherwise none."""
    filters: list[ButterworthFilter] = []
    filters += (each for each in transforms if isinstance(each, ButterworthFilter))
    kinds = {(each.order, each.sample_rate) for each in filters}
    return filters if len(filters) == len(transforms) and len(kinds) == 1 else []


def _apply_filters(
    filters: Sequence[ButterworthFilter],
    chosen: Sequence[Tensor],
    waveforms: Padded,
    generator: torch.Generator,
) -> Padded:
    """Filter each utterance with the filter that was chosen for it, all at once."""
    parameters = waveforms.data.new_zeros(len(waveforms), 2)
    for each, here in zip(filters, chosen, strict=True):
        parameters = torch.where(here[:, None], each.sample(waveforms, generator), parameters)
    widest = max(filters, key=lambda each: each.margin)
    return select(torch.stack(list(chosen)).any(0), widest.apply(waveforms, parameters), waveforms)
