"""Convolutions over frequency and time that know how long each utterance is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deepspeech2.errors import ConfigError
from deepspeech2.model.batch_norm import MaskedBatchNorm
from deepspeech2.types import Padded

ACTIVATIONS = ("hardtanh", "relu", "gelu", "silu")


def make_activation(name: str) -> nn.Module:
    """An activation that maps 0 to 0, so that padding stays zero."""
    if name == "hardtanh":
        return nn.Hardtanh(0.0, 20.0)  # the clipped ReLU of Hannun et al. 2014, section 2
    if name == "relu":
        return nn.ReLU()
    if name == "gelu":
        return nn.GELU()
    if name == "silu":
        return nn.SiLU()
    raise ConfigError(f"activation must be one of {', '.join(ACTIVATIONS)}, but is {name!r}")


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
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False)
        self.norm = MaskedBatchNorm(out_channels)
        self.activation = make_activation(activation)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Frames (B,) that come out for ``lengths`` frames (B,)."""
        return ((lengths + self._reach(1)) // self.convolution.stride[1] + 1).clamp(min=0)

    def output_features(self, n_features: int) -> int:
        return (n_features + self._reach(0)) // self.convolution.stride[0] + 1

    def _reach(self, axis: int) -> int:
        """What the padding adds to an axis, less a kernel."""
        padding = self.convolution.padding
        assert not isinstance(padding, str)
        return 2 * padding[axis] - self.convolution.kernel_size[axis]

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (B, C, F, T) with ``lengths`` (B,) to (B, C', F', T') with theirs.

        Both ends are zero in the padding.
        """
        x = self.convolution(x)
        lengths = self.output_lengths(lengths)
        mask = (torch.arange(x.shape[-1], device=x.device) < lengths[:, None])[:, None, None]
        # kernels reach from the last frames into the padding: what they leave there goes
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
