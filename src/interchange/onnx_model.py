"""A pipeline as an ONNX graph, written node by node: no tracing, no shape is fixed.

GRU and LSTM of ONNX take the lengths of a batch, so an utterance gives the same alone and in a
batch. Batch normalisations are folded into the layers behind or before them.
"""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor, nn

from src.errors import ConfigError
from src.interchange.onnx_graph import Array, Graph
from src.model import DeepSpeech2
from src.model.convolution import ConvolutionBlock
from src.model.normalization import MaskedBatchNorm
from src.model.recurrent import RecurrentLayer
from src.transforms import (
    FrontEnd,
    GlobalNormalization,
    LogMagnitudeSpectrogram,
    LogMelSpectrogram,
    NoNormalization,
    Spectrogram,
    UtteranceNormalization,
)

# Where torch's gates stand in the order of ONNX: GRU r z n -> z r h, LSTM i f g o -> i o f c.
_GATES = {nn.GRU: (1, 0, 2), nn.LSTM: (0, 3, 1, 2), nn.RNN: (0,)}


def features(graph: Graph, front_end: FrontEnd) -> tuple[str, str]:
    """Nodes from waveforms (B, S) to features (B, F, T) and their lengths (B,)."""
    spectrogram = front_end.features
    values, frames, mask = _spectra(graph, spectrogram)
    normalization = front_end.normalization
    if isinstance(normalization, UtteranceNormalization):
        values = _by_utterance(graph, values, frames, mask, normalization, spectrogram.n_features)
    elif isinstance(normalization, GlobalNormalization):
        mean, std = _array(normalization.mean), _array(normalization.std) + normalization.eps
        centred = graph.node("Sub", values, graph.constant(mean[:, None]))
        values = graph.node("Mul", graph.node("Div", centred, graph.constant(std[:, None])), mask)
    elif not isinstance(normalization, NoNormalization):
        raise ConfigError(f"{type(normalization).__name__} has no counterpart in ONNX here")
    return values, frames


def network(graph: Graph, model: DeepSpeech2, values: str, frames: str) -> tuple[str, str]:
    """Nodes from features (B, F, T) to log-probabilities (B, T', V) and their lengths (B,)."""
    x = graph.node("Unsqueeze", values, [1])
    for block in model.convolutions.blocks:
        assert isinstance(block, ConvolutionBlock)
        x, frames = _convolution(graph, block, x, frames)
    x = graph.node("Transpose", x, perm=[3, 0, 1, 2])  # (T, B, C, F)
    x = graph.node("Reshape", x, [0, 0, -1])
    lengths = graph.node("Cast", graph.node("Max", frames, [1]), to=6)  # int32
    for layer in model.layers:
        assert isinstance(layer, RecurrentLayer)
        x = _recurrence(graph, layer, x, lengths)
    if model.lookahead is not None:
        x = graph.node("Mul", x, _mask(graph, x, 0, frames, (1, 0, 2)))
        data = graph.node("Transpose", x, perm=[1, 2, 0])
        data = graph.node(
            "Conv", data, graph.constant(_array(model.lookahead.weight)),
            group=len(model.lookahead.weight), pads=[0, model.lookahead.n_frames],
        )  # fmt: skip
        x = graph.node("Transpose", data, perm=[2, 0, 1])
    scale, shift = _affine(model.norm)
    weight, bias = _array(model.output.weight), _array(model.output.bias)
    product = graph.node("MatMul", x, graph.weight((weight * scale).T.copy(), 1))
    logits = graph.node("Add", product, graph.constant(bias + weight @ shift))
    logits = graph.node("Transpose", logits, perm=[1, 0, 2])
    return graph.node("LogSoftmax", logits, axis=2), frames


def _spectra(graph: Graph, spectrogram: Spectrogram) -> tuple[str, str, str]:
    """Log spectra (B, F, T), how many frames they have (B,), and a mask (B, 1, T)."""
    n_fft, hop, margin = spectrogram.n_fft, spectrogram.hop_length, spectrogram.n_fft // 2
    size = graph.node("Shape", "waveforms", start=1, end=2)
    last = graph.node("Squeeze", graph.node("Add", size, [margin]), [0])
    places = graph.node("Abs", graph.node("Range", -margin, last, 1))
    # beyond its ends an utterance is continued by its mirror image
    ends = graph.node("Unsqueeze", "lengths", [1])
    period = graph.node("Max", graph.node("Mul", graph.node("Sub", ends, [1]), [2]), [1])
    folded = graph.node("Mod", places, period)
    index = graph.node("Min", folded, graph.node("Sub", period, folded))
    samples = graph.node("GatherElements", "waveforms", graph.node("Max", index, [0]), axis=1)
    waves = graph.node("Unsqueeze", samples, [1])
    window = _array(spectrogram.window).astype(np.float64)
    angles = 2 * math.pi * np.outer(np.arange(n_fft // 2 + 1), np.arange(n_fft)) / n_fft
    power = []
    for wave in (np.cos(angles), -np.sin(angles)):
        kernel = graph.constant((wave * window)[:, None].astype(np.float32))
        part = graph.node("Conv", waves, kernel, strides=[hop])
        power.append(graph.node("Mul", part, part))
    x = graph.node("Add", *power)
    if isinstance(spectrogram, LogMelSpectrogram):
        x = graph.node("MatMul", graph.constant(_array(spectrogram.bank).T.copy()), x)
    elif isinstance(spectrogram, LogMagnitudeSpectrogram):
        x = graph.node("Sqrt", x)
    x = graph.node("Log", graph.node("Add", x, spectrogram.log_offset))
    frames = _divided(graph, "lengths", 2 * margin - n_fft, hop)
    frames = graph.node("Mul", frames, graph.node("Min", "lengths", [1]))
    mask = _mask(graph, x, 2, frames, (0, 2, 1))
    return graph.node("Mul", x, mask), frames, mask


def _by_utterance(
    graph: Graph,
    x: str,
    frames: str,
    mask: str,
    normalization: UtteranceNormalization,
    n_features: int,
) -> str:
    per_feature = normalization.axes == [1]
    axes = [2] if per_feature else [1, 2]
    count = graph.node("Cast", graph.node("Max", frames, [1]), to=1)
    count = graph.node("Unsqueeze", count, [1, 2])
    if not per_feature:
        count = graph.node("Mul", count, float(n_features))
    first = graph.node("Slice", x, [0] * len(axes), [1] * len(axes), axes)
    data = graph.node("Mul", graph.node("Sub", x, first), mask)
    mean = graph.node("Div", graph.node("ReduceSum", data, axes), count)
    centred = graph.node("Mul", graph.node("Sub", data, mean), mask)
    square = graph.node("ReduceSum", graph.node("Mul", centred, centred), axes)
    deviation = graph.node("Sqrt", graph.node("Div", square, count))
    return graph.node("Div", centred, graph.node("Add", deviation, float(normalization.eps)))


def _convolution(graph: Graph, block: ConvolutionBlock, x: str, frames: str) -> tuple[str, str]:
    """Convolution, mask, normalisation, activation on (B, C, F, T)."""
    convolution = block.convolution
    padding = [int(each) for each in convolution.padding]
    scale, shift = _affine(block.norm)
    weight = _array(convolution.weight) * scale[:, None, None, None]
    x = graph.node(
        "Conv", x, graph.weight(weight, 0), graph.constant(shift),
        strides=list(convolution.stride), pads=padding * 2,
    )  # fmt: skip
    reach = 2 * padding[1] - convolution.kernel_size[1]
    frames = _divided(graph, frames, reach, convolution.stride[1])
    mask = graph.node("Unsqueeze", _mask(graph, x, 3, frames, (0, 2, 1)), [1])
    x = graph.node("Mul", x, mask)
    if isinstance(block.activation, nn.SiLU):
        return graph.node("Mul", x, graph.node("Sigmoid", x)), frames
    if isinstance(block.activation, nn.Hardtanh):
        return graph.node("Clip", x, 0.0, 20.0), frames
    return graph.node("Gelu" if isinstance(block.activation, nn.GELU) else "Relu", x), frames


def _recurrence(graph: Graph, layer: RecurrentLayer, x: str, lengths: str) -> str:
    """Normalisation and recurrence on (T, B, I)."""
    cells = [layer.ahead] if layer.back is None else [layer.ahead, layer.back]
    scale, shift = _affine(layer.norm)
    inputs, hidden, biases = [], [], []
    for cell in cells:
        weight = _gates(cell, "weight_ih_l0")
        inputs.append(weight * scale)
        hidden.append(_gates(cell, "weight_hh_l0"))
        biases.append(
            np.concatenate(
                (_gates(cell, "bias_ih_l0") + weight @ shift, _gates(cell, "bias_hh_l0"))
            )
        )
    kind = type(layer.ahead).__name__
    more = {"linear_before_reset": 1} if kind == "GRU" else {}
    out = graph.nodes_of(
        kind, 1, x, graph.weight(np.stack(inputs), 1), graph.weight(np.stack(hidden), 1),
        graph.constant(np.stack(biases)), lengths,
        hidden_size=layer.ahead.hidden_size,
        direction="forward" if layer.back is None else "bidirectional", **more,
    )[0]  # fmt: skip
    if len(cells) == 1:
        return graph.node("Squeeze", out, [1])
    if layer.merge == "sum":
        return graph.node("ReduceSum", out, [1], keepdims=0)
    out = graph.node("Transpose", out, perm=[0, 2, 1, 3])  # (T, B, 2, H)
    return graph.node("Reshape", out, [0, 0, -1])


def _gates(cell: nn.RNNBase, name: str) -> Array:
    parts = np.split(_array(cell.get_parameter(name)), len(_GATES[type(cell)]))
    return np.concatenate([parts[index] for index in _GATES[type(cell)]])


def _affine(norm: MaskedBatchNorm) -> tuple[Array, Array]:
    """Scale and shift of a normalisation with its running statistics."""
    scale = _array(norm.weight) / np.sqrt(_array(norm.running_var) + norm.eps)
    return scale, _array(norm.bias) - _array(norm.running_mean) * scale


def _divided(graph: Graph, lengths: str, reach: int, stride: int) -> str:
    """(lengths + reach) // stride + 1, at least 0."""
    longer = graph.node("Max", graph.node("Add", lengths, [reach + stride]), [0])
    return graph.node("Div", longer, [stride])


def _mask(graph: Graph, x: str, axis: int, frames: str, order: tuple[int, int, int]) -> str:
    """1 in the frames of each utterance, 0 behind: (B, T, 1) with its axes in ``order``."""
    count = graph.node("Squeeze", graph.node("Shape", x, start=axis, end=axis + 1), [0])
    places = graph.node("Range", 0, count, 1)
    inside = graph.node("Less", places, graph.node("Unsqueeze", frames, [1]))
    mask = graph.node("Unsqueeze", graph.node("Cast", inside, to=1), [2])
    return mask if order == (0, 1, 2) else graph.node("Transpose", mask, perm=list(order))


def _array(value: Tensor) -> Array:
    array: Array = value.detach().cpu().numpy()
    return array
