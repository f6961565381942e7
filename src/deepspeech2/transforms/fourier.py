"""Sizes and frequencies of discrete Fourier transforms."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=1024)
def fast_size(n: int) -> int:
    """The least even number >= ``n`` with no prime factor above 5: FFTs of it are fast.

    >>> fast_size(161)
    162
    """
    best = 1 << max(1, (n - 1).bit_length())
    fives = 1
    while fives < best:
        threes = fives
        while threes < best:
            twos = 2 * threes
            while twos < n:
                twos *= 2
            best = min(best, twos)
            threes *= 3
        fives *= 5
    return best


def bin_frequencies(size: int, sample_rate: int, device: torch.device) -> Tensor:
    """(size // 2 + 1,) float32: the frequencies in Hz of the bins of a real FFT."""
    return torch.arange(size // 2 + 1, device=device) * (sample_rate / size)
