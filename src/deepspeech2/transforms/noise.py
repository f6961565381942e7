"""Additive noise at a random signal-to-noise ratio: synthetic, of any colour, or recorded."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from deepspeech2.transforms.features import bin_frequencies, fast_size
from deepspeech2.transforms.noise_folder import Clips, NoiseFolder, Part
from deepspeech2.transforms.transform import (
    SMALLEST_POWER,
    Augmentation,
    require_positive,
    require_range,
    uniform,
)
from deepspeech2.types import Padded

# Below the lowest audible frequency the spectrum is constant: a power that grows without limit
# towards 0 Hz would leave no audible noise at the same ratio.
_LOWEST_HZ = 20.0


@dataclass(frozen=True, slots=True)
class NoiseParameters:
    """``noise`` (B, S) of any power, and the ratio ``snr_db`` (B,) to mix it at."""

    noise: Tensor
    snr_db: Tensor


class AdditiveNoise(Augmentation[NoiseParameters]):
    """Adds noise, scaled to a ratio of powers that is uniform in dB between two bounds.

    Powers are means of squares over the samples of the utterance. A silent utterance stays
    silent; silent noise adds nothing.
    """

    def __init__(self, min_snr_db: float, max_snr_db: float) -> None:
        require_range("snr_db", min_snr_db, max_snr_db)
        self.min_snr_db = min_snr_db
        self.max_snr_db = max_snr_db

    @abstractmethod
    def noise(self, inputs: Padded, generator: torch.Generator) -> Tensor:
        """Draw noise (B, S) of any power."""

    def sample(self, inputs: Padded, generator: torch.Generator) -> NoiseParameters:
        snr_db = uniform(inputs, generator, self.min_snr_db, self.max_snr_db)
        return NoiseParameters(self.noise(inputs, generator), snr_db)

    def apply(self, inputs: Padded, parameters: NoiseParameters) -> Padded:
        noise = Padded(parameters.noise, inputs.lengths).masked()
        # The ratio of sums is that of means: the padding is zero and the lengths are equal.
        signal_power = inputs.data.square().sum(1)
        noise_power = noise.data.square().sum(1).clamp_min(SMALLEST_POWER)
        scale = (signal_power / noise_power * 10.0 ** (-parameters.snr_db / 10.0)).sqrt()
        return Padded(torch.addcmul(inputs.data, noise.data, scale[:, None]), inputs.lengths)


class ColoredNoise(AdditiveNoise):
    """Gaussian noise of power spectrum 1 / f^exponent, constant below 20 Hz.

    The exponent is uniform between its bounds: 2 is brown noise, 1 pink, 0 white, -1 blue,
    -2 violet (Timmer and Koenig, 1995).
    """

    def __init__(
        self,
        min_snr_db: float,
        max_snr_db: float,
        min_exponent: float = -2.0,
        max_exponent: float = 2.0,
        *,
        sample_rate: int = 16000,
    ) -> None:
        super().__init__(min_snr_db, max_snr_db)
        require_range("exponent", min_exponent, max_exponent)
        require_positive("sample_rate", sample_rate)
        self.min_exponent = min_exponent
        self.max_exponent = max_exponent
        self.sample_rate = sample_rate

    def noise(self, inputs: Padded, generator: torch.Generator) -> Tensor:
        exponent = uniform(inputs, generator, self.min_exponent, self.max_exponent)
        return self.colored(exponent, inputs.data.shape[1], generator)

    def colored(self, exponent: Tensor, width: int, generator: torch.Generator) -> Tensor:
        """Draw noise (B, width) of power spectra 1 / f^exponent, ``exponent`` (B,)."""
        device = exponent.device
        size = fast_size(width)
        frequencies = bin_frequencies(size, self.sample_rate, device).clamp_min(_LOWEST_HZ)
        # relative to 1 kHz the amplitudes stay near 1 for any exponent
        amplitudes = torch.exp(-0.5 * exponent[:, None] * (frequencies / 1000.0).log())
        shape = (*amplitudes.shape, 2)
        spectrum = torch.randn(shape, generator=generator, device=device)
        spectrum.mul_(amplitudes[..., None])
        noise: Tensor = torch.fft.irfft(torch.view_as_complex(spectrum), n=size)
        return noise[:, :width]


class RecordedNoise(AdditiveNoise):
    """Recorded noise: a random segment of a random recording for each utterance.

    A recording shorter than the utterance is repeated. The folder is read when noise is first
    drawn, and kept in memory on the device of the data.

    Args:
        folder, part: see :class:`~deepspeech2.transforms.NoiseFolder`.

    Raises:
        ConfigError: the range is empty, the folder is missing, or has no audio file or none of
            this part; and when noise is first drawn, none of the files is usable.
    """

    def __init__(
        self,
        folder: str | Path,
        min_snr_db: float,
        max_snr_db: float,
        sample_rate: int = 16000,
        *,
        part: Part = "all",
    ) -> None:
        super().__init__(min_snr_db, max_snr_db)
        self.recordings = NoiseFolder(folder, part=part, sample_rate=sample_rate)
        self._moved: Clips | None = None

    def noise(self, inputs: Padded, generator: torch.Generator) -> Tensor:
        device = inputs.data.device
        self._moved = clips = (self._moved or self.recordings.clips).to(device)
        clip = uniform(inputs, generator, 0, len(clips)).long().clamp_max(len(clips) - 1)
        length = clips.lengths[clip][:, None]
        drawn = uniform(inputs, generator, 0, 1)[:, None]
        start = torch.minimum((drawn * length).long(), length - 1)
        within = (start + torch.arange(inputs.data.shape[1], device=device)) % length
        return clips.samples[within + clips.starts[clip][:, None]]
