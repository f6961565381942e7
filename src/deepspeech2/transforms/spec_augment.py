"""SpecAugment: masks over time and frequency (Park et al., 2019, arXiv:1904.08779, section 2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from deepspeech2.transforms.checks import require, require_probability
from deepspeech2.transforms.transform import Augmentation, uniform
from deepspeech2.types import Padded


@dataclass(frozen=True, slots=True)
class Masks:
    """Frames and features to mask: ``time`` (B, T) and ``frequency`` (B, F), bool."""

    time: Tensor
    frequency: Tensor


class SpecAugment(Augmentation[Masks]):
    """Set random bands of frames and of features to 0, the mean of normalised features.

    The width of a mask is uniform from 0 to its maximum, its place uniform where it fits.
    There is no time warping.

    Args:
        n_time_masks: masks over time in an utterance.
        max_time_width: frames.
        max_time_share: no mask over time is wider than this share of the utterance's frames.
        n_frequency_masks: masks over frequency in an utterance.
        max_frequency_width: features.
        p: probability that an utterance is masked at all.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self,
        *,
        n_time_masks: int = 2,
        max_time_width: int = 80,
        max_time_share: float = 0.2,
        n_frequency_masks: int = 2,
        max_frequency_width: int = 27,
        p: float = 1.0,
    ) -> None:
        require(n_time_masks >= 0, "n_time_masks", n_time_masks, "0 or more")
        require(max_time_width >= 0, "max_time_width", max_time_width, "0 or more")
        require_probability("max_time_share", max_time_share)
        require(n_frequency_masks >= 0, "n_frequency_masks", n_frequency_masks, "0 or more")
        require(max_frequency_width >= 0, "max_frequency_width", max_frequency_width, "0 or more")
        require_probability("p", p)
        self.n_time_masks = n_time_masks
        self.max_time_width = max_time_width
        self.max_time_share = max_time_share
        self.n_frequency_masks = n_frequency_masks
        self.max_frequency_width = max_frequency_width
        self.p = p

    def sample(self, inputs: Padded, generator: torch.Generator) -> Masks:
        _, width, n_features = inputs.data.shape
        applied = (uniform(inputs, generator, 0, 1) < self.p)[:, None]
        widest = (inputs.lengths * self.max_time_share).long().clamp_max(self.max_time_width)
        time = _bands(self.n_time_masks, widest, inputs.lengths, width, generator)
        features = torch.full_like(inputs.lengths, n_features)
        widest = features.clamp_max(self.max_frequency_width)
        frequency = _bands(self.n_frequency_masks, widest, features, n_features, generator)
        return Masks(time & applied, frequency & applied)

    def apply(self, inputs: Padded, parameters: Masks) -> Padded:
        masked = parameters.time[:, :, None] | parameters.frequency[:, None, :]
        return Padded(inputs.data.masked_fill(masked, 0.0), inputs.lengths)


def _bands(
    count: int, widest: Tensor, lengths: Tensor, size: int, generator: torch.Generator
) -> Tensor:
    """(B, size) bool: the union of ``count`` random bands, each within the first ``lengths``."""
    drawn = torch.rand(2, len(lengths), count, generator=generator, device=lengths.device)
    widths = _integer(drawn[0], widest[:, None])
    starts = _integer(drawn[1], lengths[:, None] - widths)[:, :, None]
    positions = torch.arange(size, device=lengths.device)
    return ((positions >= starts) & (positions < starts + widths[:, :, None])).any(1)


def _integer(drawn: Tensor, highest: Tensor) -> Tensor:
    """Uniform numbers in [0, 1) to uniform integers from 0 to ``highest``."""
    return torch.minimum((drawn * (highest + 1)).long(), highest)
