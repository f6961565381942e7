"""A glance ahead for networks that run in one direction."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deepspeech2.types import Padded


class Lookahead(nn.Module):
    """Row convolution: each channel's weighted sum of this frame and the next ones.

    Amodei et al. 2016, "Deep Speech 2", section 3.7: r_t = sum_j w_j * h_{t + j} with j from 0 to
    ``n_frames``, a weight for each channel and j. It begins as the identity. Behind the end there
    are zeros.
    """

    def __init__(self, n_channels: int, n_frames: int) -> None:
        super().__init__()
        self.n_frames = n_frames
        weight = torch.zeros(n_channels, 1, n_frames + 1)
        weight[:, 0, 0] = 1.0
        self.weight = nn.Parameter(weight)

    def forward(self, x: Padded) -> Padded:
        """Map (B, T, C), zero in the padding, to the same."""
        data = nn.functional.pad(x.data, (0, 0, 0, self.n_frames))
        return Padded(self.inside(data), x.lengths).masked()

    def inside(self, data: Tensor) -> Tensor:
        """(B, T + ``n_frames``, C) to (B, T, C): no zeros are put behind the end."""
        weight = self.weight.to(data.dtype)
        return nn.functional.conv1d(data.transpose(1, 2), weight, groups=len(weight)).transpose(
            1, 2
        )
