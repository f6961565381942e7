"""Speed perturbation: an utterance played faster or slower, pitch and all (Ko et al., 2015)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from deepspeech2.transforms.checks import require, require_items
from deepspeech2.transforms.transform import Augmentation, select, trimmed, uniform
from deepspeech2.types import Padded

# The low pass reaches from 0.87 to 1.03 of the lower of the two Nyquist frequencies, with
# 80 dB beyond (Kaiser's formulas, as scipy.signal.kaiserord has them).
_ZEROS = 32
_ROLLOFF = 0.95
_BETA = 8.0
# Samples that one row of the matrix product advances by, at least.
_BLOCK = 64


class SpeedPerturbation(Augmentation[Tensor]):
    """Resample each utterance so that it plays ``factor`` times as fast.

    An utterance of L samples becomes ceil(L / factor) long, exactly: factors are taken as
    fractions of at most two decimals. The parameters are indices (B,) into ``factors``.

    Raises:
        ConfigError: there is no factor, or one is not from 0.25 to 4 with at most two decimals.
    """

    def __init__(self, factors: Sequence[float] = (0.9, 1.0, 1.1)) -> None:
        require_items("factors", factors)
        for factor in factors:
            exact = 0.25 <= factor <= 4 and abs(factor * 100 - round(factor * 100)) < 1e-6
            require(exact, "factors", factor, "from 0.25 to 4 with at most two decimals")
        self.ratios = [Fraction(round(factor * 100), 100) for factor in factors]
        self._kernels = {ratio: resampling_kernel(ratio) for ratio in self.ratios if ratio != 1}

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
        kernel = self._kernels[ratio].to(inputs.data.device)
        self._kernels[ratio] = kernel
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


def resampling_kernel(ratio: Fraction) -> Tensor:
    """(taps, phases): a windowed sinc for each of the output samples of one block.

    With ratio p / q and k = phases / q, a block of k p input samples (and a margin on either
    side) becomes k q output samples, which lie p / q input samples apart.
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
