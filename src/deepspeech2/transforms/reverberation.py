"""Rooms: speech as a microphone some way off hears it.

The impulse response is the direct sound followed by a diffuse tail, Gaussian noise under an
exponential (J.-D. Polack, La transmission de l'énergie sonore dans les salles, 1988):

    h[0] = 1,    h[n] = g w[n] 10^(-3 n / (rt60 sample_rate)),    n > 0

Its energy falls by 60 dB in ``rt60`` seconds, and g makes the energy of the direct sound stand
at ``drr_db`` above that of the tail. A room is two numbers and noise, so that every utterance
gets a room of its own, drawn on the device, for the price of a Fourier transform.

The image-source method (Allen and Berkley, 1979) places the first echoes of a shoebox as well.
But its rooms have to be computed beforehand, as a bank, and their decay is not exponential, so
that it misses the time that Sabine's or Eyring's formula promises (Lehmann and Johansson,
Prediction of energy decay in room impulse responses simulated with an image-source model,
2008). Here the decay is the one asked for. What is left out are single early echoes, and that
high frequencies die away sooner.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from deepspeech2.transforms.checks import require_positive, require_range
from deepspeech2.transforms.fourier import fast_size
from deepspeech2.transforms.transform import Augmentation, uniform
from deepspeech2.types import Padded

_SMALLEST_POWER = 1e-20


@dataclass(frozen=True, slots=True)
class Rooms:
    """A room for each utterance.

    Attributes:
        rt60: (B,) seconds in which the tail falls by 60 dB.
        drr_db: (B,) energy of the direct sound over that of the tail.
        noise: (B, K) Gaussian, that the tails are made of.
    """

    rt60: Tensor
    drr_db: Tensor
    noise: Tensor


class Reverberation(Augmentation[Rooms]):
    """Convolves each utterance with the impulse response of a random room.

    The direct sound stays where it is, so that times hold; what rings on after the utterance's
    end is cut off. Each utterance keeps its power; a silent one stays silent.

    Args:
        min_rt60, max_rt60: seconds; a living room has some 0.4, a lecture hall 1.
        min_drr_db, max_drr_db: a talker close to the microphone has 15 and more, one across the
            room less than 0.

    Raises:
        ConfigError: a range is empty or not finite, or ``min_rt60`` not positive.
    """

    def __init__(
        self,
        min_rt60: float = 0.15,
        max_rt60: float = 0.8,
        min_drr_db: float = -3.0,
        max_drr_db: float = 15.0,
        sample_rate: int = 16000,
    ) -> None:
        require_positive("sample_rate", sample_rate)
        require_range("min_rt60", min_rt60, "max_rt60", max_rt60)
        require_positive("min_rt60", min_rt60)
        require_range("min_drr_db", min_drr_db, "max_drr_db", max_drr_db)
        self.min_rt60 = min_rt60
        self.max_rt60 = max_rt60
        self.min_drr_db = min_drr_db
        self.max_drr_db = max_drr_db
        self.sample_rate = sample_rate
        # As long as the slowest decay takes to fall by 60 dB, and at least one sample.
        self.tail = max(1, math.ceil(max_rt60 * sample_rate))

    def sample(self, inputs: Padded, generator: torch.Generator) -> Rooms:
        device = inputs.data.device
        return Rooms(
            uniform(inputs, generator, self.min_rt60, self.max_rt60),
            uniform(inputs, generator, self.min_drr_db, self.max_drr_db),
            torch.randn((len(inputs), self.tail), generator=generator, device=device),
        )

    def responses(self, rooms: Rooms) -> Tensor:
        """(B, 1 + K) impulse responses; the first sample is the direct sound, which is 1."""
        n = torch.arange(1, rooms.noise.shape[1] + 1, device=rooms.noise.device)
        rate = -3.0 * math.log(10.0) / self.sample_rate
        tail = rooms.noise * torch.exp(rate / rooms.rt60[:, None] * n)
        # The energy of the tail as it was drawn, so that the ratio holds for each room.
        energy = tail.square().sum(1).clamp_min(_SMALLEST_POWER)
        gain = (10.0 ** (-rooms.drr_db / 10.0) / energy).sqrt()
        return torch.nn.functional.pad(tail * gain[:, None], (1, 0), value=1.0)

    def apply(self, inputs: Padded, parameters: Rooms) -> Padded:
        responses = self.responses(parameters)
        width = inputs.data.shape[1]
        # As long as both together: the end must not wrap around onto the beginning.
        size = fast_size(width + responses.shape[1] - 1)
        spectrum = torch.fft.rfft(inputs.data, n=size) * torch.fft.rfft(responses, n=size)
        data = torch.fft.irfft(spectrum, n=size)[:, :width]
        heard = Padded(data, inputs.lengths).masked()
        # The padding is zero, and both have as many samples: sums stand for means.
        before = inputs.data.square().sum(1)
        after = heard.data.square().sum(1).clamp_min(_SMALLEST_POWER)
        return Padded(heard.data * (before / after).sqrt()[:, None], inputs.lengths)
