"""What an augmentation is, and how results of several are put together.

Waveforms are (B, S), features (B, T, F); padding is zero on entry and on return. Each
utterance has its own parameters, drawn from a generator on the device of the data, and what
it becomes depends on them alone, not on its neighbours or its padding. Constants that an
augmentation needs follow the device of the data, so it need not be moved itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from deepspeech2.types import Padded

Parameters = TypeVar("Parameters")


class WaveformTransform(Protocol):
    """Maps waveforms (B, S) to waveforms."""

    def __call__(self, waveforms: Padded, generator: torch.Generator) -> Padded: ...

    def shortest(self, lengths: Tensor) -> Tensor:
        """(B,) the fewest samples that can become of utterances of ``lengths`` samples."""
        ...

    def longest(self, lengths: Tensor) -> Tensor:
        """(B,) the most samples that can become of utterances of ``lengths`` samples."""
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
        """Draw parameters for each utterance; ``generator`` lies on the device of the data."""

    @abstractmethod
    def apply(self, inputs: Padded, parameters: Parameters) -> Padded:
        """Transform each utterance as its parameters say."""

    def shortest(self, lengths: Tensor) -> Tensor:
        """(B,) the fewest samples that can become of utterances of ``lengths`` samples."""
        return lengths

    def longest(self, lengths: Tensor) -> Tensor:
        """(B,) the most samples that can become of utterances of ``lengths`` samples."""
        return lengths


def uniform(inputs: Padded, generator: torch.Generator, low: float, high: float) -> Tensor:
    """(B,) numbers between ``low`` and ``high``, one for each utterance."""
    device = inputs.data.device
    return low + (high - low) * torch.rand(len(inputs), generator=generator, device=device)


def trimmed(inputs: Padded) -> Padded:
    """Without the padding that no utterance needs; on a GPU, where that would wait, as it is."""
    if inputs.data.device.type != "cpu" or not len(inputs):
        return inputs
    return Padded(inputs.data[:, : max(1, int(inputs.lengths.max()))], inputs.lengths)


def select(chosen: Tensor, first: Padded, second: Padded) -> Padded:
    """Utterances of ``first`` where ``chosen`` (B,) is true, of ``second`` elsewhere.

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
