"""Transforms made of transforms: in a row, now and then, or one of several.

The choice is made for each utterance. Every transform runs on the whole batch and its results
are taken where they were drawn, so that nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from deepspeech2.transforms.checks import require, require_items, require_probability
from deepspeech2.transforms.filters import ButterworthFilter
from deepspeech2.transforms.transform import WaveformTransform, select, uniform
from deepspeech2.types import Padded


class Compose:
    """Applies transforms in order; none at all leaves waveforms as they are."""

    def __init__(self, transforms: Sequence[WaveformTransform]) -> None:
        self.transforms = tuple(transforms)

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
    """Applies ``transform`` to each utterance with probability ``p``.

    Raises:
        ConfigError: ``p`` is not a probability.
    """

    def __init__(self, transform: WaveformTransform, p: float) -> None:
        require_probability("p", p)
        self.transform = transform
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

    Filters of one order and sample rate cost together as much as one of them.

    Args:
        transforms: at least one.
        p: probability that an utterance is changed at all.
        weights: how likely each is beside the others; None: all alike.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self,
        transforms: Sequence[WaveformTransform],
        p: float,
        weights: Sequence[float] | None = None,
    ) -> None:
        require_items("transforms", transforms)
        require_probability("p", p)
        weights = [1.0] * len(transforms) if weights is None else list(weights)
        allowed = f"{len(transforms)} numbers, 0 or more, not all of them 0"
        fit = len(weights) == len(transforms) and min(weights) >= 0 and sum(weights) > 0
        require(fit, "weights", weights, allowed)
        self.transforms = tuple(transforms)
        sums = list(accumulate(weights))
        self.bounds = [p * (part / sums[-1]) for part in sums]
        self._filters = _alike(self.transforms)

    def __call__(self, waveforms: Padded, generator: torch.Generator) -> Padded:
        chosen = self._choice(waveforms, generator)
        if self._filters:
            return _filtered(self._filters, chosen, waveforms, generator)
        output = waveforms
        for transform, here in zip(self.transforms, chosen, strict=True):
            output = select(here, transform(waveforms, generator), output)
        return output

    def shortest(self, lengths: Tensor) -> Tensor:
        shortest = lengths
        for transform in self.transforms:
            shortest = torch.minimum(shortest, transform.shortest(lengths))
        return shortest

    def longest(self, lengths: Tensor) -> Tensor:
        longest = lengths
        for transform in self.transforms:
            longest = torch.maximum(longest, transform.longest(lengths))
        return longest

    def _choice(self, waveforms: Padded, generator: torch.Generator) -> list[Tensor]:
        """For each transform (B,) bool: the utterances that it is applied to."""
        drawn = uniform(waveforms, generator, 0, 1)
        lower = [0.0, *self.bounds[:-1]]
        return [
            (low <= drawn) & (drawn < high) for low, high in zip(lower, self.bounds, strict=True)
        ]


def _alike(transforms: Sequence[WaveformTransform]) -> list[ButterworthFilter]:
    """The transforms, if all are filters that differ in their parameters alone; or none."""
    filters: list[ButterworthFilter] = [
        each for each in transforms if isinstance(each, ButterworthFilter)
    ]
    kinds = {(each.order, each.sample_rate) for each in filters}
    return filters if len(filters) == len(transforms) and len(kinds) == 1 else []


def _filtered(
    filters: Sequence[ButterworthFilter],
    chosen: Sequence[Tensor],
    waveforms: Padded,
    generator: torch.Generator,
) -> Padded:
    """Each utterance through the filter that was chosen for it, all at once."""
    parameters = waveforms.data.new_zeros(len(waveforms), 2)
    for each, here in zip(filters, chosen, strict=True):
        parameters = torch.where(here[:, None], each.sample(waveforms, generator), parameters)
    widest = max(filters, key=lambda each: each.margin)
    return select(torch.stack(list(chosen)).any(0), widest.apply(waveforms, parameters), waveforms)
