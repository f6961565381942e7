"""The mel scale, as HTK defines it: mel = 2595 log10(1 + hz / 700)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def hz_to_mel(hz: float) -> float:
    """
    >>> round(hz_to_mel(1000.0))
    1000
    """
    return 2595.0 * math.log10(1.0 + hz / 700.0)


def mel_to_hz(mel: Tensor) -> Tensor:
    """The inverse of :func:`hz_to_mel`, elementwise."""
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


def mel_bank(n_bins: int, n_mels: int, sample_rate: int, f_min: float, f_max: float) -> Tensor:
    """Triangles of height 1 whose corners lie equally far apart in mel.

    A triangle that is narrower than the distance of two bins may hold none; its column is zero.

    Returns:
        (n_bins, n_mels) float32; the bins run from 0 to half the sample rate.
    """
    bins = torch.linspace(0, sample_rate / 2, n_bins, dtype=torch.float64)
    limits = (hz_to_mel(f_min), hz_to_mel(f_max))
    corners = mel_to_hz(torch.linspace(*limits, n_mels + 2, dtype=torch.float64))
    widths = corners.diff()
    distance = corners[None, :] - bins[:, None]
    rising = -distance[:, :-2] / widths[:-1]
    falling = distance[:, 2:] / widths[1:]
    return torch.minimum(rising, falling).clamp_min(0).float()
