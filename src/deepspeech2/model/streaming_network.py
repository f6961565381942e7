"""The network on a stream: features come in pieces, and a state carries what later frames need.

A state is a value: a step takes one and returns the next, so that a stream can be copied,
interrupted and continued. The frames are those of the whole utterance at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deepspeech2.errors import ConfigError
from deepspeech2.model import gru_cpu
from deepspeech2.model.deepspeech2 import DeepSpeech2
from deepspeech2.model.layers import ConvolutionBlock, RecurrentLayer


@dataclass(frozen=True, slots=True)
class NetworkState:
    """The past of a stream, as far as the next frames need it.

    Attributes:
        convolutions: (1, C, F, T) past inputs of each convolution.
        hidden: state of each recurrent layer; None before the first frame.
        ahead: (1, T, C) frames of the last recurrent layer that wait for those after them.
    """

    convolutions: tuple[Tensor, ...]
    hidden: tuple[Any, ...]
    ahead: Tensor


class StreamingNetwork:
    """Runs a network piece by piece.

    Attributes:
        latency: input frames after the middle of an output frame on which the frame depends.

    Raises:
        ConfigError: the network is bidirectional, so that its first frame needs the last; or a
            convolution skips frames.
    """

    def __init__(self, network: DeepSpeech2) -> None:
        if not isinstance(network, DeepSpeech2):
            raise ConfigError(f"a {type(network).__name__} cannot stream, which DeepSpeech2 can")
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
        """Return kernel and stride in time."""
        return block.convolution.kernel_size[1], block.convolution.stride[1]

    @property
    def device(self) -> torch.device:
        return self.network.output.weight.device

    def start(self, n_features: int) -> NetworkState:
        """Return the state before the first frame of ``n_features``: zeros."""
        inputs = []
        device = self.device
        for block in self._blocks:
            before = self._shape(block)[0] // 2
            channels = block.convolution.in_channels
            inputs.append(torch.zeros(1, channels, n_features, before, device=device))
            n_features = block.output_features(n_features)
        width = self.network.output.in_features
        ahead = torch.zeros(1, 0, width, device=device)
        return NetworkState(tuple(inputs), (None,) * len(self.network.layers), ahead)

    @torch.no_grad()
    def step(
        self, state: NetworkState, features: Tensor, *, last: bool = False
    ) -> tuple[NetworkState, Tensor]:
        """Process the next features (T, F), any number of frames; ``last``: the stream ends here.

        ``last`` is a factor below, so that the exporter for ONNX can put a tensor in its place.

        Returns:
            The next state, and the log-probabilities (T', V) that are now final.
        """
        x = features.t()[None, None]
        convolutions = []
        for block, before in zip(self._blocks, state.convolutions, strict=True):
            rest, x = self._convolve(block, torch.cat((before, x), dim=3), last)
            convolutions.append(rest)
        frames = x.permute(0, 3, 1, 2).flatten(2)
        hidden = []
        layers = zip(self.network.layers, state.hidden, strict=True)
        for place, (layer, memory) in enumerate(layers):
            assert isinstance(layer, RecurrentLayer)
            if frames.shape[1]:
                frames = self.network.conditioned(place, _normalized(layer.norm, frames, 2))
                frames, memory = _recur(layer.ahead, frames, memory)
            else:
                frames = frames.new_zeros(1, 0, layer.n_outputs)
            hidden.append(memory)
        ahead, frames = self._look_ahead(torch.cat((state.ahead, frames), dim=1), last)
        logits: Tensor = self.network.output(_normalized(self.network.norm, frames, 2))
        next_state = NetworkState(tuple(convolutions), tuple(hidden), ahead)
        return next_state, logits[0].float().log_softmax(dim=1)

    def _convolve(self, block: ConvolutionBlock, x: Tensor, last: bool) -> tuple[Tensor, Tensor]:
        """Return the part of ``x`` (1, C, F, T) that is still needed, and all possible outputs."""
        kernel, step = self._shape(block)
        x = nn.functional.pad(x, (0, last * (kernel // 2)))
        count = max(0, (x.shape[3] - kernel) // step + 1)
        convolution = block.convolution
        if not count:
            n_features = block.output_features(x.shape[2])
            return x, x.new_zeros(1, convolution.out_channels, n_features, 0)
        padding = (convolution.kernel_size[0] // 2, 0)
        used = x[..., : (count - 1) * step + kernel]
        out = nn.functional.conv2d(used, convolution.weight, None, convolution.stride, padding)
        return x[..., count * step :], block.activation(_normalized(block.norm, out, 1))

    def _look_ahead(self, x: Tensor, last: bool) -> tuple[Tensor, Tensor]:
        """Return the part of ``x`` (1, T, C) that is still needed, and all possible outputs."""
        lookahead = self.network.lookahead
        if lookahead is None:
            return x[:, :0], x
        x = nn.functional.pad(x, (0, 0, 0, last * lookahead.n_frames))
        count = max(0, x.shape[1] - lookahead.n_frames)
        if not count:
            return x, x[:, :0]
        return x[:, count:], lookahead.inside(x)


def _recur(cell: nn.RNNBase, frames: Tensor, memory: Any) -> tuple[Tensor, Any]:
    """Return the states (1, T, H) of frames (1, T, I), and the memory for the next ones."""
    if not gru_cpu.supports([cell], frames):
        states, memory = cell(frames, memory)
        return states, memory
    after = frames.new_zeros(1, cell.hidden_size) if memory is None else memory.clone()
    states = gru_cpu.run_direction(cell, frames, torch.tensor([frames.shape[1]]), after)
    return states, after


def _normalized(norm: nn.Module, x: Tensor, channel_dim: int) -> Tensor:
    out: Tensor = norm(x, x.new_ones(()), channel_dim=channel_dim)
    return out
