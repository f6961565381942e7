"""Batch normalisation whose statistics see no padding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from src import ranks


class MaskedBatchNorm(nn.Module):
    """Batch normalisation over the valid frames of a batch (Ioffe and Szegedy 2015).

    Parameters and buffers carry the names of ``nn.BatchNorm1d``. The statistics are kept in
    float32. In training the mean and variance of the batch come from valid frames alone, those
    of all ranks; in evaluation the running ones are used. Either way an utterance's result
    does not depend on how far it was padded. A batch whose statistics are not finite leaves
    the running ones as they are. With a frozen ``weight`` it is in evaluation always.
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
        if self.training and self.weight.requires_grad:
            mean, variance = self._batch_statistics(x, mask, channel_dim)
        else:
            mean, variance = self.running_mean, self.running_var
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        # x is zero in the padding, so masking the shift alone keeps the padding zero
        return x * scale.view(shape) + shift.view(shape) * mask

    def _batch_statistics(self, x: Tensor, mask: Tensor, channel_dim: int) -> tuple[Tensor, Tensor]:
        """Moments of the valid frames of all ranks, from the moments of all frames of this one.

        Zeros in the padding add nothing to the sums, only to the number of summands ``total``,
        so one fused reduction suffices: sum x = total * mean, sum x^2 = total * (var + mean^2).
        The variance is a difference of the two, hence float64 for these few numbers.
        """
        dims = [dim for dim in range(x.ndim) if dim != channel_dim % x.ndim]
        n_channels = x.shape[channel_dim]
        total = x.numel() / n_channels
        valid = mask.sum().double() * (total / mask.numel())
        moments = torch.var_mean(x.float(), dims, correction=0)
        all_variance, all_mean = (moment.double() for moment in moments)
        sums = torch.cat(
            (all_mean * total, (all_variance + all_mean.square()) * total, valid[None])
        )
        sums = ranks.summed(sums)
        any_valid = sums[-1] > 0
        valid = sums[-1].clamp(min=1.0)
        mean, square = sums[:-1].view(2, n_channels) / valid
        variance = (square - mean.square()).clamp(min=0.0)
        unbiased = variance * (valid / (valid - 1).clamp(min=1.0))
        self._follow(mean.detach().float(), unbiased.detach().float(), any_valid)
        return mean.float(), variance.float()

    def _follow(self, mean: Tensor, variance: Tensor, any_valid: Tensor) -> None:
        """Move the running statistics; a batch that is empty or not finite must not spoil them."""
        finite = (mean.isfinite() & variance.isfinite()).all() & any_valid
        for running, now in ((self.running_mean, mean), (self.running_var, variance)):
            running.lerp_(torch.where(finite, now, running), self.momentum)
