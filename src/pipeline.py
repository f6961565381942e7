"""Front end, network and loss as one unit: waveforms in, log-probabilities or a loss out."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from src.loss import CtcLoss, LossValue
from src.model import DeepSpeech2
from src.transforms import FrontEnd
from src.types import Padded


class Pipeline(nn.Module):
    """What is trained, saved and used for recognition.

    Attributes:
        network: holds the weights.
        through: calls the network under an engine's precision and ranks; None calls it plainly.
        seconds_per_frame: of the log-probabilities.
    """

    def __init__(
        self, front_end: FrontEnd, network: DeepSpeech2, loss: CtcLoss | None = None
    ) -> None:
        super().__init__()
        self.front_end = front_end
        self.network = network
        self.through: Callable[[Padded], Padded] | None = None
        self.loss = loss or CtcLoss()
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
        return (self.through or self.network)(features)

    def output_frames(self, n_samples: Tensor) -> Tensor:
        """The fewest output frames (B,) that ``n_samples`` (B,) samples give in training."""
        return self.network.output_lengths(self.front_end.fewest_frames(n_samples))
