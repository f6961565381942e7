"""The interface of augmentations, checks of their arguments, and how results are combined.

Waveforms are (B, S), features (B, T, F); padding is zero on entry and on return. Each utterance
has its own parameters, drawn from a generator on the device of the data. Its result depends on
them alone, not on its neighbours or its padding. Constants are moved to the device of the data.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from deepspeech2.errors import ConfigError
from deepspeech2.types import Padded

Parameters = TypeVar("Parameters")

SMALLEST_POWER = 1e-20
"""Keeps ratios of powers finite where there is silence."""


class WaveformTransform(Protocol):
    """Maps waveforms (B, S) to waveforms."""

    def __call__(self, waveforms: Padded, generator: torch.Generator) -> Padded: ...

    def shortest(self, lengths: Tensor) -> Tensor:
        """Return the fewest samples (B,) that utterances of ``lengths`` samples can get."""
        ...

    def longest(self, lengths: Tensor) -> Tensor:
        """Return the most samples (B,) that utterances of ``lengths`` samples can get."""
        ...


class FeatureTransform(Protocol):
    """Maps features (B, T, F) to features of the same shape."""

    def __call__(self, features: Padded, generator: torch.Generator) -> Padded: ...


class Augmentation(ABC, Generic[Parameters]):
    """A random transform in two steps: :meth:`sample` draws, :meth:`apply` is deterministic."""

    def __call__(self, inputs: Padded, generator: torch.Generator) -> Padded:
        return self.apply(inputs, self.sample(inputs, generator))

    @abstractmethod
    def sample(self, inputs: Padded, generator: torch.Generator) -> Parameters:
        """Draw parameters for each utterance; ``generator`` is on the device of the data."""

    @abstractmethod
    def apply(self, inputs: Padded, parameters: Parameters) -> Padded:
        """Transform each utterance by its parameters."""

    def shortest(self, lengths: Tensor) -> Tensor:
        return lengths

    def longest(self, lengths: Tensor) -> Tensor:
        return lengths


def uniform(inputs: Padded, generator: torch.Generator, low: float, high: float) -> Tensor:
    """Draw a number (B,) between ``low`` and ``high`` for each utterance."""
    device = inputs.data.device
    return low + (high - low) * torch.rand(len(inputs), generator=generator, device=device)


def trimmed(inputs: Padded) -> Padded:
    """Cut padding that no utterance needs; not on a GPU, where reading the lengths would wait."""
    if inputs.data.device.type != "cpu" or not len(inputs):
        return inputs
    return Padded(inputs.data[:, : max(1, int(inputs.lengths.max()))], inputs.lengths)


def select(chosen: Tensor, first: Padded, second: Padded) -> Padded:
    """Take utterances of ``first`` where ``chosen`` (B,) is true, of ``second`` elsewhere.

    The two may differ in width and in lengths.
    """
    width = max(first.data.shape[1], second.data.shape[1])
    here = chosen.view(-1, *(1,) * (first.data.ndim - 1))
    data = torch.where(here, _widened(first, width), _widened(second, width))
    selected = Padded(data, torch.where(chosen, first.lengths, second.lengths))
    return selected if first.data.shape == second.data.shape else trimmed(selected)


def _widened(inputs: Padded, width: int) -> Tensor:
    missing = width - inputs.data.shape[1]
    if not missing:
        return inputs.data
    return torch.nn.functional.pad(inputs.data, (0, 0) * (inputs.data.ndim - 2) + (0, missing))


def require(condition: bool, name: str, value: object, allowed: str) -> None:
    """Raise ConfigError "``name`` must be ``allowed``, but is ``value``" unless ``condition``."""
    if not condition:
        raise ConfigError(f"{name} must be {allowed}, but is {value!r}")


def require_positive(name: str, value: float) -> None:
    require(math.isfinite(value) and value > 0, name, value, "positive")


def require_probability(name: str, value: float) -> None:
    require(0 <= value <= 1, name, value, "between 0 and 1")


def require_range(name: str, low: float, high: float) -> None:
    """Require finite bounds ``min_name`` and ``max_name``, the first at most the second."""
    require(math.isfinite(low), f"min_{name}", low, "finite")
    require(math.isfinite(high), f"max_{name}", high, "finite")
    require(low <= high, f"min_{name}", low, f"at most max_{name} ({high})")
