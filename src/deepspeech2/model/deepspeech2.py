"""DeepSpeech 2: convolutions, recurrent layers and a linear layer under CTC."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from deepspeech2.errors import ConfigError
from deepspeech2.model.base import AcousticModel
from deepspeech2.model.layers import (
    ConvolutionStack,
    Lookahead,
    MaskedBatchNorm,
    RecurrentLayer,
    reversal,
)
from deepspeech2.types import Padded, Tapped

Pairs = Sequence[Sequence[int]]


class DeepSpeech2(AcousticModel):
    """The network of Amodei et al. 2016, "Deep Speech 2", section 3.

    The defaults are three convolutions and seven bidirectional GRU layers of 512 whose
    directions are summed; with 128 features and 28 tokens that is 28,086,844 parameters.
    An utterance's result does not depend on the others in its batch, and no statistic includes
    padding.

    Args:
        n_features: features of a frame.
        n_tokens: tokens including the blank, which is token 0.
        conv_channels: output channels of each convolution.
        conv_kernels: (frequency, time) of each convolution, odd numbers of bins and frames.
        conv_strides: (frequency, time) of each convolution.
        activation: after each convolution: hardtanh (clipped at 20), relu, gelu or silu.
        rnn_type: gru, lstm or rnn.
        rnn_layers: number of recurrent layers.
        rnn_size: width of each direction.
        bidirectional: whether each layer also runs backwards.
        merge: sum or concat the two directions.
        lookahead: following frames that each frame depends on, through a row convolution after
            the recurrent layers; for networks of one direction.
        dropout: probability after each recurrent layer.
        intermediate: numbers of recurrent layers below the last, counted from 1, after which the
            output layer is applied, too: to the input of the next layer, as that normalises it, so
            that a tap has no weights of its own. In training the result contains these
            log-probabilities, for a loss such as that of Lee and Watanabe 2021, "Intermediate loss
            regularization for CTC-based speech recognition".
        self_conditioned: add a projection of each tap's probabilities to the input of the next
            layer, in recognition, too (Nozaki and Komatsu 2021, "Relaxing the conditional
            independence assumption of CTC-based ASR by conditioning on intermediate
            predictions"). All taps share the projection.
        phones_after: a recurrent layer below the last after which another output layer learns
            phones in training; None: there is none.
        phones: of that layer's outputs those behind the blank, which is its first.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(
        self,
        n_features: int,
        n_tokens: int,
        *,
        conv_channels: Sequence[int] = (32, 96, 96),
        conv_kernels: Pairs = ((41, 11), (21, 11), (21, 11)),
        conv_strides: Pairs = ((2, 2), (2, 1), (2, 1)),
        activation: str = "hardtanh",
        rnn_type: str = "gru",
        rnn_layers: int = 7,
        rnn_size: int = 512,
        bidirectional: bool = True,
        merge: str = "sum",
        lookahead: int = 0,
        dropout: float = 0.0,
        intermediate: Sequence[int] = (),
        self_conditioned: bool = False,
        phones_after: int | None = None,
        phones: Sequence[str] = (),
    ) -> None:
        _check_shapes(conv_channels, conv_kernels, conv_strides)
        counts = {"n_features": n_features, "n_tokens": n_tokens}
        _check_values(
            {**counts, "rnn_layers": rnn_layers, "rnn_size": rnn_size},
            lookahead,
            bidirectional,
            dropout,
        )
        _check_taps(intermediate, rnn_layers, self_conditioned)
        if phones_after is not None and not 1 <= phones_after < rnn_layers:
            raise ConfigError(
                "model.phones_after must be a recurrent layer below the last, which is layer"
                f" {rnn_layers}, but is {phones_after}"
            )
        kernels = [(kernel[0], kernel[1]) for kernel in conv_kernels]
        strides = [(stride[0], stride[1]) for stride in conv_strides]
        super().__init__(n_features, n_tokens, math.prod(stride[1] for stride in strides))
        shapes = (conv_channels, kernels, strides)
        self.convolutions = ConvolutionStack(n_features, *shapes, activation)
        width = self.convolutions.n_features
        self.layers = nn.ModuleList()
        for _ in range(rnn_layers):
            layer = RecurrentLayer(
                width,
                rnn_size,
                cell=rnn_type,
                bidirectional=bidirectional,
                merge=merge,
                dropout=dropout,
            )
            width = layer.n_outputs
            self.layers.append(layer)
        self.lookahead = Lookahead(width, lookahead) if lookahead else None
        self.norm = MaskedBatchNorm(width)
        self.output = nn.Linear(width, n_tokens)
        self.intermediate = tuple(intermediate)
        # the last to draw random weights, so that the others are those of a network without it
        self.conditioning = nn.Linear(n_tokens, width) if self_conditioned else None
        self.phones_after = phones_after
        self.phone_output: nn.Linear | None = None
        if phones:
            self.add_phones(phones)

    def add_phones(self, phones: Sequence[str]) -> None:
        """Make the output layer of phones, which are known once the transcripts are."""
        if self.phones_after is None:
            raise ConfigError("model.phones needs model.phones_after")
        self.phone_output = nn.Linear(self.output.in_features, 1 + len(phones))

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Return the output frames (B,) of ``lengths`` input frames (B,)."""
        return self.convolutions.output_lengths(lengths)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile the normalisations, as ``nn.Module.compile`` does a whole module.

        The rest is products of matrices and loops, which have kernels of their own. Inductor of
        torch 2.11 mistakes the strides of convolutions of any length on a CPU.
        """
        for module in self.modules():
            if isinstance(module, MaskedBatchNorm):
                module.compile(*args, **kwargs)

    def forward(self, features: Padded) -> Padded:
        """Map features (B, T, F) to log-probabilities of the tokens (B, T', V) float32."""
        x: Padded = self.convolutions(features)
        mask = x.mask().unsqueeze(2)
        reverse = reversal(x.lengths, x.data.shape[1]).unsqueeze(2)
        floats = mask.to(torch.float32)
        taps: list[Tensor] = []
        phones: list[Tensor] = []
        for place, layer in enumerate(self.layers):
            x = layer(x, floats, reverse, partial(self._tap, place, taps, phones))
        if self.lookahead is not None:
            x = self.lookahead(x)
        log_probs = _log_probs(self.output, self.norm(x.data, floats, channel_dim=2))
        if self.training and (taps or phones):
            return Tapped(log_probs, x.lengths, tuple(taps), phones[0] if phones else None)
        return Padded(log_probs, x.lengths)

    def _tap(self, place: int, taps: list[Tensor], phones: list[Tensor], data: Tensor) -> Tensor:
        """Return what the recurrent layer at ``place`` reads of its normalised input (B, T, C).

        Append the log-probabilities that the input has in training.
        """
        if place == self.phones_after and self.training and self.phone_output is not None:
            phones.append(_log_probs(self.phone_output, data))
        if place not in self.intermediate or not (self.training or self.conditioning is not None):
            return data
        taps.append(_log_probs(self.output, data))
        return data if self.conditioning is None else data + self.conditioning(taps[-1].exp())

    def conditioned(self, place: int, data: Tensor) -> Tensor:
        """Return what the recurrent layer at ``place`` reads of its normalised input (B, T, C)."""
        return self._tap(place, [], [], data)


def _log_probs(output: nn.Module, data: Tensor) -> Tensor:
    logits: Tensor = output(data)
    return logits.float().log_softmax(dim=2)


def _check_values(
    counts: dict[str, int], lookahead: int, bidirectional: bool, dropout: float
) -> None:
    for name, number in counts.items():
        if number < 1:
            raise ConfigError(f"{name} must be at least 1, but is {number}")
    if lookahead < 0 or (lookahead and bidirectional):
        raise ConfigError(
            f"lookahead must be 0 or more, and 0 for a bidirectional network, but is {lookahead}"
        )
    if not 0.0 <= dropout < 1.0:
        raise ConfigError(f"dropout must be at least 0 and below 1, but is {dropout}")


def _check_taps(intermediate: Sequence[int], rnn_layers: int, self_conditioned: bool) -> None:
    places = list(intermediate)
    if places != sorted(set(places)) or any(not 1 <= place < rnn_layers for place in places):
        raise ConfigError(
            "model.intermediate must be ascending numbers of recurrent layers below the last, which"
            f" is layer {rnn_layers}, but is {places}"
        )
    if self_conditioned and not places:
        raise ConfigError(
            "model.self_conditioned=true needs taps: name the layers after which they are, as"
            f" model.intermediate=[{max(1, rnn_layers // 2)}]"
        )


def _check_shapes(channels: Sequence[int], kernels: Pairs, strides: Pairs) -> None:
    if not len(channels) == len(kernels) == len(strides) >= 1:
        raise ConfigError(
            "conv_channels, conv_kernels and conv_strides must be equally many and at least one,"
            f" but are {len(channels)}, {len(kernels)} and {len(strides)}"
        )
    for name, pairs in (("conv_kernels", kernels), ("conv_strides", strides)):
        for pair in pairs:
            if len(pair) != 2 or min(pair) < 1:
                raise ConfigError(
                    f"{name} must be (frequency, time) pairs of positive numbers,"
                    f" but has {list(pair)}"
                )
    for kernel in kernels:
        if kernel[0] % 2 == 0 or kernel[1] % 2 == 0:
            raise ConfigError(f"conv_kernels must be odd, but has {list(kernel)}")
    if min(channels) < 1:
        raise ConfigError(f"conv_channels must be positive, but are {list(channels)}")
