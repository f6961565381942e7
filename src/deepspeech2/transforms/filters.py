"""Low-pass, high-pass and band-pass filters of random cutoffs, without delay.

A filter is a digital Butterworth filter of ``order`` n, run forward and backward: its phase is
zero and its gain is the squared magnitude of the one pass,

    gain(f) = 1 / (1 + r(f)^(2 n)),    r = a t - b / t,    t = tan(pi f / sample_rate),

which is 1/2 (-6 dB) at each cutoff (Oppenheim and Schafer, Discrete-Time Signal Processing,
7.1.2 with the bilinear transform). With c = tan(pi cutoff / sample_rate) a low pass has
a = 1 / c, b = 0; a high pass a = 0, b = c; a band pass from c1 to c2 has a = 1 / (c2 - c1),
b = c1 c2 / (c2 - c1). So two numbers describe any of them, and a batch with a different filter
for each utterance is one multiplication between two Fourier transforms.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from deepspeech2.transforms.features import bin_frequencies, fast_size, hz_to_mel, mel_to_hz
from deepspeech2.transforms.transform import (
    Augmentation,
    require,
    require_positive,
    require_range,
    uniform,
)
from deepspeech2.types import Padded

# The slowest ringing has decayed to e^-12 = 6e-6 where the transform wraps around.
_DECAY = 12.0
# Replaces infinity in t, because a difference of two infinities is not a number.
_LARGE = 1e9


class ButterworthFilter(Augmentation[Tensor]):
    """The base class of the three filters; the parameters are a and b, (B, 2).

    Args:
        slowest_hz: frequency of the slowest ringing of any filter that can be drawn.
        order: of the one pass.
    """

    def __init__(self, *, slowest_hz: float, sample_rate: int, order: int) -> None:
        require(1 <= order <= 16, "order", order, "from 1 to 16")
        self.sample_rate = sample_rate
        self.order = order
        decay_per_second = 2 * math.pi * slowest_hz * math.sin(math.pi / (2 * order))
        self.margin = math.ceil(_DECAY / decay_per_second * sample_rate)

    def response(self, parameters: Tensor, frequencies: Tensor) -> Tensor:
        """Return the gains (B, K) of filters (B, 2) at ``frequencies`` (K,) in Hz."""
        t = torch.tan(frequencies.double() * (math.pi / self.sample_rate))
        # at half the sample rate rounding may give either infinity
        t = t.abs().clamp(1 / _LARGE, _LARGE).float()
        ratio = parameters[:, :1] * t - parameters[:, 1:] * t.reciprocal()
        return ratio.square_().pow_(self.order).add_(1.0).reciprocal_()

    def apply(self, inputs: Padded, parameters: Tensor) -> Padded:
        width = inputs.data.shape[1]
        size = fast_size(width + self.margin)
        gains = self.response(
            parameters, bin_frequencies(size, self.sample_rate, inputs.data.device)
        )
        spectrum = torch.fft.rfft(inputs.data, n=size)
        torch.view_as_real(spectrum).mul_(gains[..., None])
        data = torch.fft.irfft(spectrum, n=size)[:, :width]
        return Padded(data, inputs.lengths).masked()

    def _warped(self, cutoff_hz: Tensor) -> Tensor:
        return torch.tan(cutoff_hz * (math.pi / self.sample_rate))


class _CutoffFilter(ButterworthFilter):
    """A filter with one cutoff below half the sample rate, drawn uniformly on the mel scale."""

    def __init__(
        self,
        min_cutoff_hz: float,
        max_cutoff_hz: float,
        sample_rate: int = 16000,
        *,
        order: int = 4,
    ) -> None:
        _check_cutoffs(min_cutoff_hz, max_cutoff_hz, sample_rate)
        super().__init__(slowest_hz=min_cutoff_hz, sample_rate=sample_rate, order=order)
        self.min_cutoff_hz = min_cutoff_hz
        self.max_cutoff_hz = max_cutoff_hz

    def sample(self, inputs: Padded, generator: torch.Generator) -> Tensor:
        cutoff_hz = _uniform_in_mel(inputs, generator, self.min_cutoff_hz, self.max_cutoff_hz)
        return self.parameters(cutoff_hz)

    @abstractmethod
    def parameters(self, cutoff_hz: Tensor) -> Tensor:
        """Return the (B, 2) parameters of filters with ``cutoff_hz`` (B,)."""


class LowPassFilter(_CutoffFilter):
    """Passes frequencies below a cutoff, drawn uniformly on the mel scale."""

    def parameters(self, cutoff_hz: Tensor) -> Tensor:
        c = self._warped(cutoff_hz)
        return torch.stack([1 / c, torch.zeros_like(c)], 1)


class HighPassFilter(_CutoffFilter):
    """Passes frequencies above a cutoff, drawn uniformly on the mel scale."""

    def parameters(self, cutoff_hz: Tensor) -> Tensor:
        c = self._warped(cutoff_hz)
        return torch.stack([torch.zeros_like(c), c], 1)


class BandPassFilter(ButterworthFilter):
    """Passes center * (1 - fraction / 2) to center * (1 + fraction / 2) Hz.

    The centre is drawn uniformly on the mel scale, the bandwidth's fraction of it uniformly.
    """

    def __init__(
        self,
        min_center_hz: float,
        max_center_hz: float,
        min_bandwidth_fraction: float,
        max_bandwidth_fraction: float,
        sample_rate: int = 16000,
        *,
        order: int = 4,
    ) -> None:
        _check_cutoffs(min_center_hz, max_center_hz, sample_rate, "center")
        require_range("bandwidth_fraction", min_bandwidth_fraction, max_bandwidth_fraction)
        require_positive("min_bandwidth_fraction", min_bandwidth_fraction)
        greatest = "max_bandwidth_fraction"
        require(max_bandwidth_fraction < 2, greatest, max_bandwidth_fraction, "below 2")
        highest = max_center_hz * (1 + max_bandwidth_fraction / 2)
        limit = f"such that the upper edge ({highest:g} Hz) is below {sample_rate / 2:g} Hz"
        require(highest < sample_rate / 2, greatest, max_bandwidth_fraction, limit)
        lower_edge = min_center_hz * (1 - max_bandwidth_fraction / 2)
        half_width = min_center_hz * min_bandwidth_fraction / 2
        super().__init__(
            slowest_hz=min(lower_edge, half_width), sample_rate=sample_rate, order=order
        )
        self.min_center_hz = min_center_hz
        self.max_center_hz = max_center_hz
        self.min_bandwidth_fraction = min_bandwidth_fraction
        self.max_bandwidth_fraction = max_bandwidth_fraction

    def sample(self, inputs: Padded, generator: torch.Generator) -> Tensor:
        center_hz = _uniform_in_mel(inputs, generator, self.min_center_hz, self.max_center_hz)
        fraction = uniform(
            inputs, generator, self.min_bandwidth_fraction, self.max_bandwidth_fraction
        )
        return self.parameters(center_hz, fraction)

    def parameters(self, center_hz: Tensor, bandwidth_fraction: Tensor) -> Tensor:
        """Return the (B, 2) parameters of band passes of centres and fractions (B,)."""
        low = self._warped(center_hz * (1 - bandwidth_fraction / 2))
        high = self._warped(center_hz * (1 + bandwidth_fraction / 2))
        return torch.stack([1 / (high - low), low * high / (high - low)], 1)


def _check_cutoffs(low: float, high: float, sample_rate: int, name: str = "cutoff") -> None:
    require_positive("sample_rate", sample_rate)
    require_range(f"{name}_hz", low, high)
    require_positive(f"min_{name}_hz", low)
    limit = f"below half the sample rate ({sample_rate / 2:g})"
    require(high < sample_rate / 2, f"max_{name}_hz", high, limit)


def _uniform_in_mel(
    inputs: Padded, generator: torch.Generator, low_hz: float, high_hz: float
) -> Tensor:
    return mel_to_hz(uniform(inputs, generator, hz_to_mel(low_hz), hz_to_mel(high_hz)))
