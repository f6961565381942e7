"""Short-time spectra: log power, log magnitude, and log power on the mel scale.

Frame t is centred on sample t * hop_length. Beyond its two ends an utterance is continued by
its mirror image, at its own end and not at the end of the padding, so that it gives the same
frames alone and in a batch.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from deepspeech2.transforms.checks import require, require_positive
from deepspeech2.transforms.mel import mel_bank
from deepspeech2.types import Padded

LARGEST = {"sample_rate": 192_000, "n_fft": 2**14, "n_mels": 2**13 + 1}
WINDOWS = {"hann": torch.hann_window, "hamming": torch.hamming_window}


class Spectrogram(nn.Module):
    """What the spectrograms share: framing, window, power.

    Attributes:
        n_features: F of the output.
        sample_rate, hop_length: in Hz and samples.
        window: (n_fft,), periodic.
    """

    window: Tensor

    def __init__(
        self,
        *,
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
        """Frames (B,) of utterances of ``lengths`` (B,) samples; none for an empty one."""
        frames = (lengths + 2 * (self.n_fft // 2) - self.n_fft) // self.hop_length + 1
        return frames.clamp_min(0) * (lengths > 0)

    def forward(self, waveforms: Padded) -> Padded:
        """
        Args:
            waveforms: (B, S) with S at least 1.

        Returns:
            (B, T, F) float32, zero in the padding; natural logarithms.
        """
        values = self.spectra(mirror_ends(waveforms, self.n_fft // 2))
        return Padded(values, self.output_lengths(waveforms.lengths)).masked()

    def spectra(self, samples: Tensor) -> Tensor:
        """(B, S) with S at least ``n_fft`` to (B, T, F): as many windows as fit, from the first."""
        frames = samples.unfold(1, self.n_fft, self.hop_length) * self.window
        spectrum = torch.view_as_real(torch.fft.rfft(frames))
        power = spectrum.square().sum(-1)
        return self.pooled(power).add(self.log_offset).log()

    @abstractmethod
    def pooled(self, power: Tensor) -> Tensor:
        """(B, T, n_fft // 2 + 1) power to (B, T, F)."""


class LogSpectrogram(Spectrogram):
    """log(power + log_offset) of each of the n_fft // 2 + 1 bins.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        n_fft: int = 400,
        hop_length: int = 200,
        log_offset: float = 1e-6,
    ) -> None:
        super().__init__(
            n_features=n_fft // 2 + 1,
            sample_rate=sample_rate,
            n_fft=n_fft,
            hop_length=hop_length,
            log_offset=log_offset,
        )

    def pooled(self, power: Tensor) -> Tensor:
        return power


class LogMagnitudeSpectrogram(Spectrogram):
    """log(1 + magnitude) of each of the n_fft // 2 + 1 bins.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        n_fft: int = 320,
        hop_length: int = 160,
        window: str = "hamming",
    ) -> None:
        super().__init__(
            n_features=n_fft // 2 + 1,
            sample_rate=sample_rate,
            n_fft=n_fft,
            hop_length=hop_length,
            log_offset=1.0,
            window=window,
        )

    def pooled(self, power: Tensor) -> Tensor:
        return power.sqrt()


class LogMelSpectrogram(Spectrogram):
    """log(mel power + log_offset), triangles on the HTK scale between ``f_min`` and ``f_max`` Hz.

    On one utterance it equals torchaudio's MelSpectrogram with that module's defaults.

    Raises:
        ConfigError: an argument is out of range.
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
        super().__init__(
            n_features=n_mels,
            sample_rate=sample_rate,
            n_fft=n_fft,
            hop_length=hop_length,
            log_offset=log_offset,
        )
        top = sample_rate / 2 if f_max is None else f_max
        require(n_mels >= 1, "n_mels", n_mels, "at least 1")
        require(f_min >= 0, "f_min", f_min, "0 or more")
        require(
            f_min < top <= sample_rate / 2,
            "f_max",
            f_max,
            f"above f_min ({f_min}) and at most half the sample rate ({sample_rate / 2})",
        )
        bank = mel_bank(n_fft // 2 + 1, n_mels, sample_rate, f_min, top)
        self.register_buffer("bank", bank, persistent=False)

    def pooled(self, power: Tensor) -> Tensor:
        return power @ self.bank


def mirror_ends(waveforms: Padded, margin: int) -> Tensor:
    """(B, S + 2 margin): each utterance continued by ``margin`` samples of its mirror image.

    An utterance shorter than the margin is mirrored over and over, as numpy's ``reflect`` does.
    """
    data = waveforms.data
    steps = torch.arange(1, margin + 1, device=data.device)
    ends = waveforms.lengths[:, None]
    output = nn.functional.pad(data, (margin, margin))
    left = data.gather(1, _mirrored(-steps.flip(0).expand(len(waveforms), -1), ends))
    right = data.gather(1, _mirrored(ends - 1 + steps, ends))
    output[:, :margin] = left
    return output.scatter_(1, ends + margin - 1 + steps, right)


def _mirrored(positions: Tensor, ends: Tensor) -> Tensor:
    """Positions outside of [0, end), folded back into it."""
    period = (2 * (ends - 1)).clamp_min(1)
    folded = positions.abs() % period
    return torch.minimum(folded, period - folded).clamp(min=0)
