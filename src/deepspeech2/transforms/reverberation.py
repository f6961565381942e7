"""Reverberation: speech as a microphone some distance away records it.

The impulse response of a room is the direct sound followed by a diffuse tail, Gaussian noise with
an exponential decay (J.-D. Polack, La transmission de l'énergie sonore dans les salles, 1988):

    h[0] = 1,    h[n] = g w[n] 10^(-3 n / (rt60 sample_rate)),    n > 0

Its energy falls by 60 dB in ``rt60`` seconds, and g sets the energy of the direct sound to
``drr_db`` above that of the tail. So every utterance gets a room of its own, drawn on the device,
at the cost of a Fourier transform. Unlike the image-source method (Allen and Berkley, 1979) this
has no single early echoes, and high frequencies do not decay faster; in return it needs no
precomputed rooms and has exactly the decay asked for (Lehmann and Johansson, Prediction of energy
decay in room impulse responses simulated with an image-source model, 2008).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from deepspeech2.transforms.features import fast_size
from deepspeech2.transforms.transform import (
    SMALLEST_POWER,
    Augmentation,
    require_positive,
    require_range,
    uniform,
)
from deepspeech2.types import Padded


@dataclass(frozen=True, slots=True)
class Rooms:
    """A room for each utterance.

    Attributes:
        rt60: (B,) seconds in which the tail falls by 60 dB.
        drr_db: (B,) energy of the direct sound relative to the tail.
        noise: (B, K) Gaussian noise from which the tails are made.
    """

    rt60: Tensor
    drr_db: Tensor
    noise: Tensor


class Reverberation(Augmentation[Rooms]):
    """Convolves each utterance with the impulse response of a random room.

    The direct sound is not delayed, and the tail is cut off at the utterance's end. Each
    utterance keeps its power; a silent one stays silent.

    Args:
        min_rt60, max_rt60: seconds; a living room has about 0.4, a lecture hall 1.
        min_drr_db, max_drr_db: a talker close to the microphone has 15 or more, one across the
            room less than 0.
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
        require_range("rt60", min_rt60, max_rt60)
        require_positive("min_rt60", min_rt60)
        require_range("drr_db", min_drr_db, max_drr_db)
        self.min_rt60 = min_rt60
        self.max_rt60 = max_rt60
        self.min_drr_db = min_drr_db
        self.max_drr_db = max_drr_db
        self.sample_rate = sample_rate
        # the time in which the slowest decay falls by 60 dB, and at least one sample
        self.tail = max(1, math.ceil(max_rt60 * sample_rate))

    def sample(self, inputs: Padded, generator: torch.Generator) -> Rooms:
        device = inputs.data.device
        return Rooms(
            uniform(inputs, generator, self.min_rt60, self.max_rt60),
            uniform(inputs, generator, self.min_drr_db, self.max_drr_db),
            torch.randn((len(inputs), self.tail), generator=generator, device=device),
        )

    def responses(self, rooms: Rooms) -> Tensor:
        """Return impulse responses (B, 1 + K); the first sample is the direct sound, 1."""
        n = torch.arange(1, rooms.noise.shape[1] + 1, device=rooms.noise.device)
        rate = -3.0 * math.log(10.0) / self.sample_rate
        tail = rooms.noise * torch.exp(rate / rooms.rt60[:, None] * n)
        # the energy of the drawn tail, so that the ratio is exact for each room
        energy = tail.square().sum(1).clamp_min(SMALLEST_POWER)
        gain = (10.0 ** (-rooms.drr_db / 10.0) / energy).sqrt()
        return torch.nn.functional.pad(tail * gain[:, None], (1, 0), value=1.0)

    def apply(self, inputs: Padded, parameters: Rooms) -> Padded:
        responses = self.responses(parameters)
        width = inputs.data.shape[1]
        # as long as both together, so that the end does not wrap around to the beginning
        size = fast_size(width + responses.shape[1] - 1)
        spectrum = torch.fft.rfft(inputs.data, n=size) * torch.fft.rfft(responses, n=size)
        data = torch.fft.irfft(spectrum, n=size)[:, :width]
        output = Padded(data, inputs.lengths).masked()
        # The ratio of sums is that of means: the padding is zero and the lengths are equal.
        before = inputs.data.square().sum(1)
        after = output.data.square().sum(1).clamp_min(SMALLEST_POWER)
        return Padded(output.data * (before / after).sqrt()[:, None], inputs.lengths)
