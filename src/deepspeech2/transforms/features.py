"""Short-time spectra: log power, log magnitude, and log power on the mel scale.

Frame t is centred on sample t * hop_length. Beyond its two ends an utterance is continued by
its mirror image, at its own end and not at the end of the padding, so that it gives the same
frames alone and in a batch. The mel scale is HTK's: mel = 2595 log10(1 + hz / 700).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import lru_cache

import torch
from torch import Tensor, nn

from deepspeech2.transforms.transform import require, require_positive
from deepspeech2.types import Padded

LARGEST = {"sample_rate": 192_000, "n_fft": 2**14, "n_mels": 2**13 + 1}
WINDOWS = {"hann": torch.hann_window, "hamming": torch.hamming_window}


class Spectrogram(nn.Module):
    """Framing, window and power, which all spectrograms share.

    Attributes:
        n_features: F of the output.
        sample_rate, hop_length: in Hz and samples.
        window: (n_fft,), periodic.
    """

    window: Tensor

    def __init__(
        self,
        n_features: int,
        sample_rate: int,
        n_fft: int,
        hop_length: int,
        log_offset: float,
        window: str = "hann",
    ) -> None:
        super().__init__()
        require_positive("sample_rate", sample_rate)
        require(n_fft >= 2, "n_fft", n_fft, "at least 2")
        for name, value in (("sample_rate", sample_rate), ("n_fft", n_fft), ("n_mels", n_features)):
            require(value <= LARGEST[name], name, value, f"at most {LARGEST[name]}")
        require(1 <= hop_length <= n_fft, "hop_length", hop_length, f"from 1 to n_fft ({n_fft})")
        require_positive("log_offset", log_offset)
        self.n_features = n_features
        self.sample_rate = sample_rate
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.log_offset = log_offset
        require(window in WINDOWS, "window", window, f"one of {', '.join(WINDOWS)}")
        self.register_buffer("window", WINDOWS[window](n_fft), persistent=False)

    @property
    def seconds_per_frame(self) -> float:
        return self.hop_length / self.sample_rate

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Return the frames (B,) of ``lengths`` (B,) samples; none for an empty utterance."""
        frames = (lengths + 2 * (self.n_fft // 2) - self.n_fft) // self.hop_length + 1
        return frames.clamp_min(0) * (lengths > 0)

    def forward(self, waveforms: Padded) -> Padded:
        """Map (B, S), S at least 1, to natural logarithms (B, T, F) float32, 0 in the padding."""
        values = self.spectra(mirror_ends(waveforms, self.n_fft // 2))
        return Padded(values, self.output_lengths(waveforms.lengths)).masked()

    def spectra(self, samples: Tensor) -> Tensor:
        """Map (B, S), S at least ``n_fft``, to (B, T, F): as many windows as fit in S."""
        frames = samples.unfold(1, self.n_fft, self.hop_length) * self.window
        spectrum = torch.view_as_real(torch.fft.rfft(frames))
        power = spectrum.square().sum(-1)
        return self.pooled(power).add(self.log_offset).log()

    @abstractmethod
    def pooled(self, power: Tensor) -> Tensor:
        """Map power (B, T, n_fft // 2 + 1) to (B, T, F)."""


class LogSpectrogram(Spectrogram):
    """log(power + log_offset) of each of the n_fft // 2 + 1 bins."""

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        n_fft: int = 400,
        hop_length: int = 200,
        log_offset: float = 1e-6,
    ) -> None:
        super().__init__(n_fft // 2 + 1, sample_rate, n_fft, hop_length, log_offset)

    def pooled(self, power: Tensor) -> Tensor:
        return power


class LogMagnitudeSpectrogram(Spectrogram):
    """log(1 + magnitude) of each of the n_fft // 2 + 1 bins."""

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        n_fft: int = 320,
        hop_length: int = 160,
        window: str = "hamming",
    ) -> None:
        super().__init__(n_fft // 2 + 1, sample_rate, n_fft, hop_length, 1.0, window)

    def pooled(self, power: Tensor) -> Tensor:
        return power.sqrt()


class LogMelSpectrogram(Spectrogram):
    """log(mel power + log_offset), triangles on the HTK scale between ``f_min`` and ``f_max`` Hz.

    On one utterance it equals torchaudio's MelSpectrogram with that module's defaults.
    """

    bank: Tensor

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        n_fft: int = 400,
        hop_length: int = 200,
        n_mels: int = 128,
        f_min: float = 0.0,
        f_max: float | None = None,
        log_offset: float = 1e-6,
    ) -> None:
        super().__init__(n_mels, sample_rate, n_fft, hop_length, log_offset)
        top = sample_rate / 2 if f_max is None else f_max
        require(n_mels >= 1, "n_mels", n_mels, "at least 1")
        require(f_min >= 0, "f_min", f_min, "0 or more")
        require(
            f_min < top <= sample_rate / 2,
            "f_max",
            f_max,
            f"above f_min ({f_min}) and at most half the sample rate ({sample_rate / 2})",
        )
        bank = _mel_bank(n_fft // 2 + 1, n_mels, sample_rate, f_min, top)
        self.register_buffer("bank", bank, persistent=False)

    def pooled(self, power: Tensor) -> Tensor:
        return power @ self.bank


def hz_to_mel(hz: float) -> float:
    """
    >>> round(hz_to_mel(1000.0))
    1000
    """
    return 2595.0 * math.log10(1.0 + hz / 700.0)


def mel_to_hz(mel: Tensor) -> Tensor:
    """Invert :func:`hz_to_mel`, elementwise."""
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


def _mel_bank(n_bins: int, n_mels: int, sample_rate: int, f_min: float, f_max: float) -> Tensor:
    """Return (n_bins, n_mels) float32: triangles of height 1, their corners equally spaced in mel.

    The bins run from 0 to half the sample rate. A triangle narrower than the distance of two bins
    may contain none; its column is zero.
    """
    bins = torch.linspace(0, sample_rate / 2, n_bins, dtype=torch.float64)
    limits = (hz_to_mel(f_min), hz_to_mel(f_max))
    corners = mel_to_hz(torch.linspace(*limits, n_mels + 2, dtype=torch.float64))
    widths = corners.diff()
    distance = corners[None, :] - bins[:, None]
    rising = -distance[:, :-2] / widths[:-1]
    falling = distance[:, 2:] / widths[1:]
    return torch.minimum(rising, falling).clamp_min(0).float()


@lru_cache(maxsize=1024)
def fast_size(n: int) -> int:
    """Return the least even number >= ``n`` with no prime factor above 5: FFTs of it are fast.

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
    """Return the frequencies in Hz of the bins of a real FFT, (size // 2 + 1,) float32."""
    return torch.arange(size // 2 + 1, device=device) * (sample_rate / size)


def mirror_ends(waveforms: Padded, margin: int) -> Tensor:
    """Continue (B, S) by ``margin`` samples of mirror image on either side: (B, S + 2 margin).

    An utterance shorter than the margin is mirrored over and over, as numpy's ``reflect`` does.
    """
    data = waveforms.data
    steps = torch.arange(1, margin + 1, device=data.device)
    ends = waveforms.lengths[:, None]
    output = nn.functional.pad(data, (margin, margin))
    left = data.gather(1, mirrored(-steps.flip(0).expand(len(waveforms), -1), ends))
    right = data.gather(1, mirrored(ends - 1 + steps, ends))
    output[:, :margin] = left
    return output.scatter_(1, ends + margin - 1 + steps, right)


def mirrored(positions: Tensor, ends: Tensor) -> Tensor:
    """Fold positions outside of [0, end) back into it."""
    period = (2 * (ends - 1)).clamp_min(1)
    folded = positions.abs() % period
    return torch.minimum(folded, period - folded).clamp(min=0)
