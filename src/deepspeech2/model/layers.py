"""Layers that ignore padding: batch normalisation, convolutions, recurrence and lookahead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from deepspeech2 import plugins, ranks
from deepspeech2.devices import widest_float
from deepspeech2.errors import ConfigError
from deepspeech2.model import gru_cpu
from deepspeech2.types import Padded

# All map 0 to 0, so that padding stays zero. The clipped ReLU is that of Hannun et al. 2014,
# "Deep Speech", section 2.
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "hardtanh": partial(nn.Hardtanh, 0.0, 20.0),
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}
_CELLS: dict[str, type[nn.GRU | nn.LSTM | nn.RNN]] = {
    "gru": nn.GRU,
    "lstm": nn.LSTM,
    "rnn": nn.RNN,
}


class MaskedBatchNorm(nn.Module):
    """Batch normalisation over the valid frames of a batch (Ioffe and Szegedy 2015).

    In training the mean and variance are those of the valid frames of all ranks; in evaluation,
    and always with a frozen ``weight``, the running ones. Either way an utterance's result does
    not depend on its padding. A batch whose statistics are not finite does not change the running
    ones. Parameters and buffers have the names of ``nn.BatchNorm1d``; statistics are float32.
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
        """Normalise ``x``, which is zero in the padding and stays so.

        Args:
            x: any shape with ``n_channels`` along ``channel_dim``.
            mask: 1 where there is data and 0 in the padding, as floats, broadcast to ``x``.
            channel_dim: the axis of the channels.
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
        """Return mean and variance (C,) of the valid frames of all ranks, in float64 if there is.

        E x^2 minus the squared mean loses digits where the mean is large beside the deviation, so
        ``near``, close to the mean, has already been subtracted from ``x``. Sums over ranks are
        float64, with digits to spare.
        """
        dims = [dim for dim in range(x.ndim) if dim != channel_dim % x.ndim]
        n_channels = x.shape[channel_dim]
        wide = widest_float(x.device)
        valid = mask.sum().to(wide) * (x.numel() / n_channels / mask.numel())
        count = valid.clamp(min=1.0)
        offset = x.sum(dims).to(wide) / count
        square = x.square().sum(dims).to(wide) / count
        mean = near + offset
        sums = torch.cat((mean, square - offset.square() + mean.square(), valid[None] / count))
        sums = ranks.summed(sums * valid)
        any_valid = sums[-1] > 0
        valid = sums[-1].clamp(min=1.0)
        mean, square = sums[:-1].view(2, n_channels) / valid
        variance = (square - mean.square()).clamp(min=0.0)
        unbiased = variance * (valid / (valid - 1).clamp(min=1.0))
        self._update_running(mean.detach().float(), unbiased.detach().float(), any_valid)
        return mean, variance

    def _update_running(self, mean: Tensor, variance: Tensor, any_valid: Tensor) -> None:
        """Update the running statistics, unless the batch is empty or not finite."""
        finite = (mean.isfinite() & variance.isfinite()).all() & any_valid
        for running, now in ((self.running_mean, mean), (self.running_var, variance)):
            running.lerp_(torch.where(finite, now, running), self.momentum)


@torch.no_grad()
def _near_mean(x: Tensor, mask: Tensor, channel_dim: int) -> Tensor:
    """Return the mean of the first frames (C,) float32, close to the mean of each channel."""
    time = 1 if channel_dim % x.ndim == x.ndim - 1 else x.ndim - 1
    first, valid = x.select(time, 0).float(), mask.select(time, 0)
    channel = channel_dim % x.ndim - (time < channel_dim % x.ndim)
    dims = [dim for dim in range(first.ndim) if dim != channel]
    n_first = valid.sum() * (first.numel() / first.shape[channel] / valid.numel())
    return first.sum(dims) / n_first.clamp(min=1.0)


class ConvolutionBlock(nn.Module):
    """Convolution without bias, masked batch normalisation, activation.

    ``kernel`` and ``stride`` are (frequency, time). Both axes are padded by half a kernel,
    which keeps ceil(length / stride) frames when the kernel is odd.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        activation: str,
    ) -> None:
        super().__init__()
        if activation not in _ACTIVATIONS:
            known = ", ".join(_ACTIVATIONS)
            raise ConfigError(f"activation must be one of {known}, but is {activation!r}")
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False)
        self.norm = MaskedBatchNorm(out_channels)
        self.activation = _ACTIVATIONS[activation]()

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Return the output frames (B,) of ``lengths`` input frames (B,)."""
        # nothing negative is divided: torch rounds that down, and ONNX towards zero
        stride = self.convolution.stride[1]
        return (lengths + self._reach(1) + stride).clamp(min=0) // stride

    def output_features(self, n_features: int) -> int:
        return (n_features + self._reach(0)) // self.convolution.stride[0] + 1

    def _reach(self, axis: int) -> int:
        """Return by how much padding exceeds the kernel along an axis."""
        padding = self.convolution.padding
        assert not isinstance(padding, str)
        return 2 * padding[axis] - self.convolution.kernel_size[axis]

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, C, F, T) with ``lengths`` (B,) to (B, C', F', T') with theirs; 0 in padding."""
        x = self.convolution(x)
        lengths = self.output_lengths(lengths)
        mask = (torch.arange(x.shape[-1], device=x.device) < lengths[:, None])[:, None, None]
        # kernels write into the padding next to the last frames, which has to be 0 again
        x = self.norm(x.masked_fill(~mask, 0.0), mask.to(torch.float32), channel_dim=1)
        return self.activation(x), lengths


class ConvolutionStack(nn.Module):
    """Several :class:`ConvolutionBlock` in a row: (B, T, F) to (B, T', F')."""

    def __init__(
        self,
        n_features: int,
        channels: Sequence[int],
        kernels: Sequence[tuple[int, int]],
        strides: Sequence[tuple[int, int]],
        activation: str,
    ) -> None:
        super().__init__()
        blocks = []
        in_channels = 1
        for out_channels, kernel, stride in zip(channels, kernels, strides, strict=True):
            block = ConvolutionBlock(in_channels, out_channels, kernel, stride, activation)
            n_features = block.output_features(n_features)
            in_channels = out_channels
            blocks.append(block)
        if n_features < 1:
            raise ConfigError("conv_strides leave no feature: use smaller frequency strides")
        self.blocks = nn.ModuleList(blocks)
        self.n_features = n_features * in_channels

    def output_lengths(self, lengths: Tensor) -> Tensor:
        for block in self.blocks:
            assert isinstance(block, ConvolutionBlock)
            lengths = block.output_lengths(lengths)
        return lengths

    def forward(self, features: Padded) -> Padded:
        """Map (B, T, F) to (B, T', C * F')."""
        x = features.masked().data.transpose(1, 2).unsqueeze(1)
        lengths = features.lengths
        for block in self.blocks:
            x, lengths = block(x, lengths)
        x = x.permute(0, 3, 1, 2).flatten(2)
        return Padded(x, lengths)


def reversal(lengths: Tensor, n_frames: int) -> Tensor:
    """Return indices (B, T) that reverse each utterance and leave its padding in place.

    >>> reversal(torch.tensor([3, 2]), 3)
    tensor([[2, 1, 0],
            [1, 0, 2]])
    """
    frames = torch.arange(n_frames, device=lengths.device)
    return torch.where(frames < lengths[:, None], lengths[:, None] - 1 - frames, frames)


class RecurrentLayer(nn.Module):
    """Masked batch normalisation, a recurrence in one or both directions, dropout.

    The backward direction reads each utterance reversed within its own length, so it starts at
    the last frame, not in the padding; packed sequences give the same result in nearly twice the
    time on a CPU. Dropout is outside the recurrence because no checkpoint contains cuDNN's own
    dropout state.

    Args:
        merge: ``sum`` adds the two directions, ``concat`` puts them side by side.
    """

    def __init__(
        self,
        n_inputs: int,
        size: int,
        *,
        cell: str,
        bidirectional: bool,
        merge: str,
        dropout: float,
    ) -> None:
        super().__init__()
        if cell not in _CELLS and not plugins.is_own(cell):
            raise ConfigError(f"rnn_type must be one of {', '.join(_CELLS)}, but is {cell!r}")
        make = _CELLS[cell] if cell in _CELLS else plugins.find(cell, "rnn_type")
        if merge not in ("sum", "concat"):
            raise ConfigError(f"merge must be sum or concat, but is {merge!r}")
        self.norm = MaskedBatchNorm(n_inputs)
        self.ahead = make(n_inputs, size, batch_first=True)
        self.back = make(n_inputs, size, batch_first=True) if bidirectional else None
        self.merge = merge
        self.dropout = nn.Dropout(dropout)
        self.n_outputs = size * (2 if bidirectional and merge == "concat" else 1)

    def forward(
        self,
        x: Padded,
        mask: Tensor,
        reverse: Tensor,
        tap: Callable[[Tensor], Tensor] | None = None,
    ) -> Padded:
        """Map (B, T, I) to (B, T, ``n_outputs``).

        Args:
            mask: (B, T, 1) float, 1 where there is data.
            reverse: (B, T, 1) int64 from :func:`reversal`.
            tap: sees the normalised input, and returns what the recurrence reads in its place.
        """
        data = self.norm(x.data, mask, channel_dim=2)
        if tap is not None:
            data = tap(data)
        cells = [self.ahead] if self.back is None else [self.ahead, self.back]
        if gru_cpu.supports(cells, data):
            outs = gru_cpu.run_directions(cells, data, x.lengths)
        else:
            outs = [self.ahead(data)[0]]
            if self.back is not None:
                flipped, _ = self.back(data.gather(1, reverse.expand_as(data)))
                outs.append(flipped.gather(1, reverse.expand_as(flipped)))
        if len(outs) == 1:
            out = outs[0]
        else:
            out = outs[0] + outs[1] if self.merge == "sum" else torch.cat(outs, dim=2)
        return Padded(self.dropout(out) * mask.to(out.dtype), x.lengths)


class Lookahead(nn.Module):
    """Row convolution: each channel's weighted sum of this frame and the next ``n_frames``.

    Amodei et al. 2016, "Deep Speech 2", section 3.7: r_t = sum_j w_j * h_{t + j}, j from 0 to
    ``n_frames``, with a weight for each channel and j. It is initialised to the identity. Frames
    beyond the end are zero.
    """

    def __init__(self, n_channels: int, n_frames: int) -> None:
        super().__init__()
        self.n_frames = n_frames
        weight = torch.zeros(n_channels, 1, n_frames + 1)
        weight[:, 0, 0] = 1.0
        self.weight = nn.Parameter(weight)

    def forward(self, x: Padded) -> Padded:
        """Map (B, T, C), zero in the padding, to the same shape."""
        data = nn.functional.pad(x.data, (0, 0, 0, self.n_frames))
        return Padded(self.inside(data), x.lengths).masked()

    def inside(self, data: Tensor) -> Tensor:
        """Map (B, T + ``n_frames``, C) to (B, T, C), without zeros beyond the end."""
        weight = self.weight.to(data.dtype)
        out = nn.functional.conv1d(data.transpose(1, 2), weight, groups=len(weight))
        return out.transpose(1, 2)
