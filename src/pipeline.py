"""Front end, network and loss as one unit: waveforms in, log-probabilities or a loss out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from src.loss import CtcLoss, LossValue
from src.model import DeepSpeech2
from src.transforms import FrontEnd
from src.types import Padded


class Pipeline(nn.Module):
    """What is trained, saved and used for recognition.

    ``network`` may be replaced by a wrapper that adds precision and ranks (see ``engine``);
    ``state_dict`` stays the same.
    """

    def __init__(
        self, front_end: FrontEnd, network: DeepSpeech2, loss: CtcLoss | None = None
    ) -> None:
        super().__init__()
        self.front_end = front_end
        self.network: nn.Module = network
        self.loss = loss or CtcLoss()
        self._output_lengths = network.output_lengths
        self.seconds_per_frame = front_end.seconds_per_frame * network.time_stride

    def forward(
        self, waveforms: Padded, labels: Padded, generator: torch.Generator | None = None
    ) -> tuple[LossValue, Padded]:
        """Loss of labels (B, L), and the log-probabilities (B, T, V) that it came from.

        Waveforms (B, S) are augmented only when a generator is given.
        """
        log_probs = self.emissions(waveforms, generator)
        value: LossValue = self.loss(log_probs, labels)
        return value, log_probs

    def emissions(self, waveforms: Padded, generator: torch.Generator | None = None) -> Padded:
        """Log-probabilities (B, T, V) of waveforms (B, S)."""
        features: Padded = self.front_end(waveforms, generator)
        log_probs: Padded = self.network(features)
        return log_probs

    def output_frames(self, n_samples: Tensor) -> Tensor:
        """The fewest output frames (B,) that ``n_samples`` (B,) samples give in training."""
        return self._output_lengths(self.front_end.fewest_frames(n_samples))
