"""Augmentations of the usual recipe: speed perturbation, gain and SpecAugment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from deepspeech2.transforms.transform import (
    Augmentation,
    require,
    require_probability,
    require_range,
    select,
    trimmed,
    uniform,
)
from deepspeech2.types import Padded

# The low pass of a resampler reaches from 0.87 to 1.03 of the lower of the two Nyquist
# frequencies, with 80 dB beyond (Kaiser's formulas, as in scipy.signal.kaiserord).
_ZEROS = 32
_ROLLOFF = 0.95
_BETA = 8.0
# One row of the matrix product advances by at least this many samples.
_BLOCK = 64


class SpeedPerturbation(Augmentation[Tensor]):
    """Resample each utterance so that it plays ``factor`` times as fast, pitch included.

    Ko et al., Audio augmentation for speech recognition, 2015. L samples become exactly
    ceil(L / factor): factors are from 0.25 to 4 with at most two decimals. The parameters are
    indices (B,) into ``factors``.
    """

    def __init__(self, factors: Sequence[float] = (0.9, 1.0, 1.1)) -> None:
        require(len(factors) > 0, "factors", factors, "a list that is not empty")
        for factor in factors:
            exact = 0.25 <= factor <= 4 and abs(factor * 100 - round(factor * 100)) < 1e-6
            require(exact, "factors", factor, "from 0.25 to 4 with at most two decimals")
        self.ratios = [Fraction(round(factor * 100), 100) for factor in factors]
        self._kernels = {ratio: _resampling_kernel(ratio) for ratio in self.ratios if ratio != 1}

    def sample(self, inputs: Padded, generator: torch.Generator) -> Tensor:
        count = len(self.ratios)
        return uniform(inputs, generator, 0, count).long().clamp_max(count - 1)

    def apply(self, inputs: Padded, parameters: Tensor) -> Padded:
        output = inputs
        for index, ratio in enumerate(self.ratios):
            if ratio != 1:
                output = select(parameters == index, self._resampled(inputs, ratio), output)
        return trimmed(output)

    def shortest(self, lengths: Tensor) -> Tensor:
        return _resampled_length(lengths, max(self.ratios))

    def longest(self, lengths: Tensor) -> Tensor:
        return _resampled_length(lengths, min(self.ratios))

    def _resampled(self, inputs: Padded, ratio: Fraction) -> Padded:
        kernel = self._kernels[ratio] = self._kernels[ratio].to(inputs.data.device)
        taps, phases = kernel.shape
        step = int(phases * ratio)
        margin = (taps - step) // 2
        width = -(-inputs.data.shape[1] * ratio.denominator // ratio.numerator)
        n_blocks = -(-width // phases)
        missing = (n_blocks - 1) * step + taps - margin - inputs.data.shape[1]
        blocks = torch.nn.functional.pad(inputs.data, (margin, missing)).unfold(1, taps, step)
        data = (blocks @ kernel).flatten(1)[:, :width]
        return Padded(data, _resampled_length(inputs.lengths, ratio)).masked()


def _resampled_length(lengths: Tensor, ratio: Fraction) -> Tensor:
    return (lengths * ratio.denominator + (ratio.numerator - 1)) // ratio.numerator


def _resampling_kernel(ratio: Fraction) -> Tensor:
    """Return (taps, phases): a windowed sinc for each of the output samples of one block.

    With ratio p / q and k = phases / q, a block of k p input samples (and a margin on either
    side) becomes k q output samples, p / q input samples apart.
    """
    p, q = ratio.numerator, ratio.denominator
    repeats = -(-_BLOCK // p)
    cutoff = _ROLLOFF * min(1.0, q / p)
    margin = math.ceil(_ZEROS / cutoff)
    centres = torch.arange(repeats * q, dtype=torch.float64) * p / q
    positions = torch.arange(-margin, repeats * p + margin, dtype=torch.float64)
    distance = cutoff * (positions[:, None] - centres)
    inside = (1 - (distance / _ZEROS).square()).clamp_min(0)
    window: Tensor = torch.special.i0(_BETA * inside.sqrt()) * (inside > 0)
    kernel: Tensor = torch.sinc(distance) * window
    return (kernel / kernel.sum(0)).float()


class Gain(Augmentation[Tensor]):
    """Multiply by 10^(gain_db / 20), without clipping what leaves [-1, 1].

    The parameters are ``gain_db`` (B,), uniform between the two bounds.
    """

    def __init__(self, min_gain_db: float, max_gain_db: float) -> None:
        require_range("gain_db", min_gain_db, max_gain_db)
        self.min_gain_db = min_gain_db
        self.max_gain_db = max_gain_db

    def sample(self, inputs: Padded, generator: torch.Generator) -> Tensor:
        return uniform(inputs, generator, self.min_gain_db, self.max_gain_db)

    def apply(self, inputs: Padded, parameters: Tensor) -> Padded:
        factors = 10.0 ** (parameters / 20.0)
        return Padded(inputs.data * factors[:, None], inputs.lengths)


@dataclass(frozen=True, slots=True)
class Masks:
    """Frames and features to mask: ``time`` (B, T) and ``frequency`` (B, F), bool."""

    time: Tensor
    frequency: Tensor


class SpecAugment(Augmentation[Masks]):
    """Set random bands of frames and of features to 0, the mean of normalised features.

    Park et al., 2019, arXiv:1904.08779, section 2, without time warping. The width of a mask is
    uniform from 0 to its maximum, its place uniform where it fits.

    Args:
        n_time_masks: masks over time in an utterance.
        max_time_width: frames.
        max_time_share: no mask over time is wider than this share of the utterance's frames.
        n_frequency_masks: masks over frequency in an utterance.
        max_frequency_width: features.
        p: probability that an utterance is masked at all.
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
    """Return (B, size) bool: the union of ``count`` random bands within the first ``lengths``."""
    drawn = torch.rand(2, len(lengths), count, generator=generator, device=lengths.device)
    widths = _integer(drawn[0], widest[:, None])
    starts = _integer(drawn[1], lengths[:, None] - widths)[:, :, None]
    positions = torch.arange(size, device=lengths.device)
    return ((positions >= starts) & (positions < starts + widths[:, :, None])).any(1)


def _integer(drawn: Tensor, highest: Tensor) -> Tensor:
    """Map uniform numbers in [0, 1) to uniform integers from 0 to ``highest``."""
    return torch.minimum((drawn * (highest + 1)).long(), highest)
