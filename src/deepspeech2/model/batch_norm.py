"""Batch normalisation whose statistics see no padding."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deepspeech2 import ranks


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
        if not (self.training and self.weight.requires_grad):
            mean, variance = self.running_mean, self.running_var
            scale = self.weight * torch.rsqrt(variance + self.eps)
            shift = self.bias - mean * scale
            # x is zero in the padding, so masking the shift alone keeps the padding zero
            return x * scale.view(shape) + shift.view(shape) * mask
        near = _near_mean(x, mask, channel_dim)
        x = torch.addcmul(x, near.view(shape), mask, value=-1)
        mean, variance = self._batch_statistics(x, mask, channel_dim, near)
        scale = self.weight * torch.rsqrt(variance.float() + self.eps)
        shift = self.bias - (mean - near).float() * scale
        return torch.addcmul(x * scale.view(shape), shift.view(shape), mask)

    def _batch_statistics(
        self, x: Tensor, mask: Tensor, channel_dim: int, near: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Moments in float64 of the valid frames of all ranks, from those of this one.

        A variance as the difference of E x^2 and the squared mean loses the digits of the ratio of
        mean to deviation, twice: ``x`` therefore comes without ``near``, about its mean. Zeros in
        the padding add nothing. What is added up over ranks is float64, with digits to spare.
        """
        dims = [dim for dim in range(x.ndim) if dim != channel_dim % x.ndim]
        n_channels = x.shape[channel_dim]
        valid = mask.sum().double() * (x.numel() / n_channels / mask.numel())
        count = valid.clamp(min=1.0)
        offset = x.sum(dims).double() / count
        square = x.square().sum(dims).double() / count
        mean = near + offset
        sums = torch.cat((mean, square - offset.square() + mean.square(), valid[None] / count))
        sums = sums * valid
        sums = ranks.summed(sums)
        any_valid = sums[-1] > 0
        valid = sums[-1].clamp(min=1.0)
        mean, square = sums[:-1].view(2, n_channels) / valid
        variance = (square - mean.square()).clamp(min=0.0)
        unbiased = variance * (valid / (valid - 1).clamp(min=1.0))
        self._follow(mean.detach().float(), unbiased.detach().float(), any_valid)
        return mean, variance

    def _follow(self, mean: Tensor, variance: Tensor, any_valid: Tensor) -> None:
        """Move the running statistics; a batch that is empty or not finite must not spoil them."""
        finite = (mean.isfinite() & variance.isfinite()).all() & any_valid
        for running, now in ((self.running_mean, mean), (self.running_var, variance)):
            running.lerp_(torch.where(finite, now, running), self.momentum)


@torch.no_grad()
def _near_mean(x: Tensor, mask: Tensor, channel_dim: int) -> Tensor:
    """For each channel a value about its mean: the mean of the first frames, (C,) float32."""
    time = 1 if channel_dim % x.ndim == x.ndim - 1 else x.ndim - 1
    first, valid = x.select(time, 0).float(), mask.select(time, 0)
    channel = channel_dim % x.ndim - (time < channel_dim % x.ndim)
    dims = [dim for dim in range(first.ndim) if dim != channel]
    n_first = valid.sum() * (first.numel() / first.shape[channel] / valid.numel())
    return first.sum(dims) / n_first.clamp(min=1.0)
