"""Layers as nodes of ONNX, which the graph of whole utterances and that of streams share.

Batch normalisations are folded into the layers behind or before them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from deepspeech2.extras.interchange.onnx_graph import Array, Graph
from deepspeech2.model import DeepSpeech2
from deepspeech2.model.layers import ConvolutionBlock, Lookahead, MaskedBatchNorm, RecurrentLayer
from deepspeech2.transforms import (
    GlobalNormalization,
    LogMagnitudeSpectrogram,
    LogMelSpectrogram,
    Spectrogram,
)

# Where torch's gates stand in the order of ONNX: GRU r z n -> z r h, LSTM i f g o -> i o f c.
_GATES = {nn.GRU: (1, 0, 2), nn.LSTM: (0, 3, 1, 2), nn.RNN: (0,)}


def folded(graph: Graph, places: str, ends: str) -> str:
    """Places of samples, those beyond the first and the last of ``ends`` samples mirrored."""
    period = graph.node("Max", graph.node("Mul", graph.node("Sub", ends, [1]), [2]), [1])
    inside = graph.node("Mod", graph.node("Abs", places), period)
    index = graph.node("Min", inside, graph.node("Sub", period, inside))
    return graph.node("Max", index, [0])


def log_spectra(graph: Graph, spectrogram: Spectrogram, waves: str) -> str:
    """Log spectra (B, F, T) of waves (B, 1, S): as many windows as fit, from the first."""
    n_fft = spectrogram.n_fft
    window = array(spectrogram.window).astype(np.float64)
    angles = 2 * math.pi * np.outer(np.arange(n_fft // 2 + 1), np.arange(n_fft)) / n_fft
    power = []
    for wave in (np.cos(angles), -np.sin(angles)):
        kernel = graph.constant((wave * window)[:, None].astype(np.float32))
        part = graph.node("Conv", waves, kernel, strides=[spectrogram.hop_length])
        power.append(graph.node("Mul", part, part))
    x = graph.node("Add", *power)
    if isinstance(spectrogram, LogMelSpectrogram):
        x = graph.node("MatMul", graph.constant(array(spectrogram.bank).T.copy()), x)
    elif isinstance(spectrogram, LogMagnitudeSpectrogram):
        x = graph.node("Sqrt", x)
    return graph.node("Log", graph.node("Add", x, spectrogram.log_offset))


def by_corpus(graph: Graph, normalization: GlobalNormalization, x: str) -> str:
    """Features (B, F, T) with the statistics of the corpus."""
    mean, std = array(normalization.mean), array(normalization.std) + normalization.eps
    centred = graph.node("Sub", x, graph.constant(mean[:, None]))
    return graph.node("Div", centred, graph.constant(std[:, None]))


def convolution(graph: Graph, block: ConvolutionBlock, x: str, padding: Sequence[int]) -> str:
    """Convolution and normalisation of (B, C, F, T), ``padding`` zeros on both sides of F, T."""
    scale, shift = affine(block.norm)
    weight = array(block.convolution.weight) * scale[:, None, None, None]
    return graph.node(
        "Conv", x, graph.weight(weight, 0), graph.constant(shift),
        strides=list(block.convolution.stride), pads=[*padding, *padding],
    )  # fmt: skip


def activation(graph: Graph, block: ConvolutionBlock, x: str) -> str:
    if isinstance(block.activation, nn.SiLU):
        return graph.node("Mul", x, graph.node("Sigmoid", x))
    if isinstance(block.activation, nn.Hardtanh):
        return graph.node("Clip", x, 0.0, 20.0)
    return graph.node("Gelu" if isinstance(block.activation, nn.GELU) else "Relu", x)


def as_sequence(graph: Graph, x: str) -> str:
    """(B, C, F, T) as (T, B, C * F)."""
    return graph.node("Reshape", graph.node("Transpose", x, perm=[3, 0, 1, 2]), [0, 0, -1])


def states(layer: RecurrentLayer) -> tuple[str, ...]:
    """What a recurrence hands on from frame to frame."""
    return ("hidden", "cell") if isinstance(layer.ahead, nn.LSTM) else ("hidden",)


def recurrence(
    graph: Graph, layer: RecurrentLayer, x: str, lengths: str = "", before: Sequence[str] = ()
) -> tuple[str, list[str]]:
    """Normalisation and recurrence on (T, B, I).

    Args:
        lengths: (B,) int32; all frames when empty.
        before: states (1, B, H) at the first frame; zeros when there are none.

    Returns:
        (T, B, I'), and the states behind the last frame.
    """
    cells = [layer.ahead] if layer.back is None else [layer.ahead, layer.back]
    scale, shift = affine(layer.norm)
    inputs, hidden, biases = [], [], []
    for cell in cells:
        weight = _gates(cell, "weight_ih_l0")
        inputs.append(weight * scale)
        hidden.append(_gates(cell, "weight_hh_l0"))
        parts = (_gates(cell, "bias_ih_l0") + weight @ shift, _gates(cell, "bias_hh_l0"))
        biases.append(np.concatenate(parts))
    kind = type(layer.ahead).__name__
    more = {"linear_before_reset": 1} if kind == "GRU" else {}
    out, *after = graph.nodes_of(
        kind, 1 + len(states(layer)), x,
        graph.weight(np.stack(inputs), 1), graph.weight(np.stack(hidden), 1),
        graph.constant(np.stack(biases)), lengths, *before,
        hidden_size=layer.ahead.hidden_size,
        direction="forward" if layer.back is None else "bidirectional", **more,
    )  # fmt: skip
    if len(cells) == 1:
        return graph.node("Squeeze", out, [1]), after
    if layer.merge == "sum":
        return graph.node("ReduceSum", out, [1], keepdims=0), after
    out = graph.node("Transpose", out, perm=[0, 2, 1, 3])  # (T, B, 2, H)
    return graph.node("Reshape", out, [0, 0, -1]), after


def lookahead(graph: Graph, layer: Lookahead, x: str, behind: int) -> str:
    """(B, C, T) with so many zeros ``behind`` the end, to frames that have heard of the next."""
    weight = array(layer.weight)
    return graph.node("Conv", x, graph.constant(weight), group=len(weight), pads=[0, behind])


def logits(graph: Graph, model: DeepSpeech2, x: str) -> str:
    """Normalisation and the linear layer on (T, B, I)."""
    scale, shift = affine(model.norm)
    weight, bias = array(model.output.weight), array(model.output.bias)
    product = graph.node("MatMul", x, graph.weight((weight * scale).T.copy(), 1))
    return graph.node("Add", product, graph.constant(bias + weight @ shift))


def affine(norm: MaskedBatchNorm) -> tuple[Array, Array]:
    """Scale and shift of a normalisation with its running statistics."""
    scale = array(norm.weight) / np.sqrt(array(norm.running_var) + norm.eps)
    return scale, array(norm.bias) - array(norm.running_mean) * scale


def array(value: Tensor) -> Array:
    """A tensor as numpy has it."""
    found: Array = value.detach().cpu().numpy()
    return found


def _gates(cell: nn.RNNBase, name: str) -> Array:
    parts = np.split(array(cell.get_parameter(name)), len(_GATES[type(cell)]))
    return np.concatenate([parts[index] for index in _GATES[type(cell)]])
