"""The network on a stream: features come in pieces, and what later frames need is handed on.

A state is a value: a step takes one and returns the next, so that a stream can be copied, put
aside and taken up again. The frames are those of the whole utterance at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deepspeech2.errors import ConfigError
from deepspeech2.model.convolution import ConvolutionBlock
from deepspeech2.model.deepspeech2 import DeepSpeech2
from deepspeech2.model.gru_cpu import carried, prepare, suits
from deepspeech2.model.recurrent import RecurrentLayer


@dataclass(frozen=True, slots=True)
class NetworkState:
    """What a stream needs from its past.

    Attributes:
        convolutions: (1, C, F, T) inputs of each convolution that its next output needs.
        hidden: state of each recurrent layer; None before the first frame.
        ahead: (1, T, C) frames of the last layer that wait for the frames after them.
    """

    convolutions: tuple[Tensor, ...]
    hidden: tuple[Any, ...]
    ahead: Tensor


class StreamingNetwork:
    """Runs a network piece by piece.

    Attributes:
        latency: input frames after the middle of an output frame that it depends on.

    Raises:
        ConfigError: the network runs backwards, too, so that its first frame needs the last; or a
            convolution steps over frames.
    """

    def __init__(self, network: DeepSpeech2) -> None:
        for layer in network.layers:
            assert isinstance(layer, RecurrentLayer)
            if layer.back is not None:
                raise ConfigError(
                    "the model listens in both directions and cannot stream: train one with"
                    " -cn=deepspeech2_streaming"
                )
        self.network = network.eval()
        self.latency = 0
        stride = 1
        for block in self._blocks:
            kernel, step = self._shape(block)
            if kernel < step:
                raise ConfigError(
                    f"a convolution of {kernel} frames that steps by {step} cannot stream"
                )
            self.latency += kernel // 2 * stride
            stride *= step
        if network.lookahead is not None:
            self.latency += network.lookahead.n_frames * stride

    @property
    def _blocks(self) -> list[ConvolutionBlock]:
        blocks = list(self.network.convolutions.blocks)
        assert all(isinstance(block, ConvolutionBlock) for block in blocks)
        return blocks  # type: ignore[return-value]

    @staticmethod
    def _shape(block: ConvolutionBlock) -> tuple[int, int]:
        """Kernel and stride in time."""
        return block.convolution.kernel_size[1], block.convolution.stride[1]

    def start(self, n_features: int) -> NetworkState:
        """The state before the first frame of ``n_features``: zeros before the beginning."""
        held = []
        device = self.network.output.weight.device
        for block in self._blocks:
            before = self._shape(block)[0] // 2
            channels = block.convolution.in_channels
            held.append(torch.zeros(1, channels, n_features, before, device=device))
            n_features = block.output_features(n_features)
        width = self.network.output.in_features
        nothing = torch.zeros(1, 0, width, device=device)
        return NetworkState(tuple(held), (None,) * len(self.network.layers), nothing)

    @torch.no_grad()
    def step(
        self, state: NetworkState, features: Tensor, *, last: bool = False
    ) -> tuple[NetworkState, Tensor]:
        """Hear more.

        Args:
            features: (T, F), any number of frames, none too.
            last: nothing comes after these.

        Returns:
            The next state, and the (T', V) log-probabilities that have become certain.
        """
        x = features.t()[None, None]
        convolutions = []
        for block, before in zip(self._blocks, state.convolutions, strict=True):
            held, x = self._convolved(block, torch.cat((before, x), dim=3), last)
            convolutions.append(held)
        frames = x.permute(0, 3, 1, 2).flatten(2)
        hidden = []
        for layer, memory in zip(self.network.layers, state.hidden, strict=True):
            assert isinstance(layer, RecurrentLayer)
            if frames.shape[1]:
                frames, memory = _remembered(
                    layer.ahead, _normalized(layer.norm, frames, 2), memory
                )
            else:
                frames = frames.new_zeros(1, 0, layer.n_outputs)
            hidden.append(memory)
        ahead, frames = self._looked_ahead(torch.cat((state.ahead, frames), dim=1), last)
        return NetworkState(tuple(convolutions), tuple(hidden), ahead), self._output(frames)

    def _convolved(
        self, block: ConvolutionBlock, held: Tensor, last: bool
    ) -> tuple[Tensor, Tensor]:
        """What is still needed of ``held`` (1, C, F, T), and the outputs it is enough for."""
        kernel, step = self._shape(block)
        if last:
            held = nn.functional.pad(held, (0, kernel // 2))
        count = max(0, (held.shape[3] - kernel) // step + 1)
        if not count:
            n_features = block.output_features(held.shape[2])
            return held, held.new_zeros(1, block.convolution.out_channels, n_features, 0)
        convolution = block.convolution
        padding = (convolution.kernel_size[0] // 2, 0)
        used = held[..., : (count - 1) * step + kernel]
        out = nn.functional.conv2d(used, convolution.weight, None, convolution.stride, padding)
        return held[..., count * step :], block.activation(_normalized(block.norm, out, 1))

    def _looked_ahead(self, held: Tensor, last: bool) -> tuple[Tensor, Tensor]:
        lookahead = self.network.lookahead
        if lookahead is None:
            return held[:, :0], held
        if last:
            held = nn.functional.pad(held, (0, 0, 0, lookahead.n_frames))
        count = max(0, held.shape[1] - lookahead.n_frames)
        if not count:
            return held, held[:, :0]
        return held[:, count:], lookahead.inside(held)

    def _output(self, frames: Tensor) -> Tensor:
        logits: Tensor = self.network.output(_normalized(self.network.norm, frames, 2))
        return logits[0].float().log_softmax(dim=1)


def _remembered(cell: nn.RNNBase, frames: Tensor, memory: Any) -> tuple[Tensor, Any]:
    """States (1, T, H) of frames (1, T, I), and what the next ones need."""
    if not suits([cell], frames):
        states, memory = cell(frames, memory)
        return states, memory
    prepare()
    after = frames.new_zeros(1, cell.hidden_size) if memory is None else memory.clone()
    (states,) = carried(cell, frames, after, torch.tensor([frames.shape[1]]))
    return states, after


def _normalized(norm: nn.Module, x: Tensor, channel_dim: int) -> Tensor:
    out: Tensor = norm(x, x.new_ones(()), channel_dim=channel_dim)
    return out
