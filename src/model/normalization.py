"""Batch normalisation whose statistics see no padding."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MaskedBatchNorm(nn.Module):
    """Batch normalisation over the valid frames of a batch (Ioffe and Szegedy 2015).

    Parameters and buffers carry the names of ``nn.BatchNorm1d``. The statistics are kept in
    float32. In training the mean and variance of the batch come from valid frames alone, in
    evaluation the running ones are used; either way an utterance's result does not depend on
    how far it was padded.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, n_channels: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(n_channels))
        self.bias = nn.Parameter(torch.zeros(n_channels))
        self.register_buffer("running_mean", torch.zeros(n_channels))
        self.register_buffer("running_var", torch.ones(n_channels))

    def forward(self, x: Tensor, mask: Tensor, channel_dim: int) -> Tensor:
        """Normalise.

        Args:
            x: any shape with ``n_channels`` along ``channel_dim``; zero in the padding.
            mask: 1 where there is data and 0 in the padding, as floats, broadcast to ``x``.
            channel_dim: which axis holds the channels.

        Returns:
            The shape of ``x``; zero in the padding.
        """
        shape = [1] * x.ndim
        shape[channel_dim] = -1
        if self.training:
            mean, variance = self._batch_statistics(x, mask, channel_dim)
        else:
            mean, variance = self.running_mean, self.running_var
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        # x is zero in the padding, so masking the shift alone keeps the padding zero
        return x * scale.view(shape) + shift.view(shape) * mask

    def _batch_statistics(self, x: Tensor, mask: Tensor, channel_dim: int) -> tuple[Tensor, Tensor]:
        """Moments of the valid frames, from the moments of all of them.

        Zeros in the padding add nothing to the sums, only to the number of summands ``total``,
        so one fused reduction suffices: sum x = total * mean, sum x^2 = total * (var + mean^2).
        """
        dims = [dim for dim in range(x.ndim) if dim != channel_dim % x.ndim]
        n_channels = x.shape[channel_dim]
        total = x.numel() / n_channels
        valid = (mask.sum() * (total / mask.numel())).clamp(min=1.0)
        all_variance, all_mean = torch.var_mean(x.float(), dims, correction=0)
        ratio = total / valid
        mean = all_mean * ratio
        variance = ((all_variance + all_mean.square()) * ratio - mean.square()).clamp(min=0.0)
        with torch.no_grad():
            unbiased = variance * (valid / (valid - 1).clamp(min=1.0))
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
        return mean, variance
