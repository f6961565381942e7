"""A pipeline as an ONNX graph, written node by node: no tracing, no shape is fixed.

GRU and LSTM of ONNX take the lengths of a batch, so an utterance gives the same alone and in a
batch.
"""

from __future__ import annotations

from deepspeech2.errors import ConfigError
from deepspeech2.extras.interchange import onnx_layers as layers
from deepspeech2.extras.interchange.onnx_graph import Graph
from deepspeech2.model import DeepSpeech2
from deepspeech2.model.layers import ConvolutionBlock, RecurrentLayer
from deepspeech2.transforms import (
    FrontEnd,
    GlobalNormalization,
    NoNormalization,
    Spectrogram,
    UtteranceNormalization,
)
from deepspeech2.transforms.feature_normalization import SILENCE


def features(graph: Graph, front_end: FrontEnd) -> tuple[str, str]:
    """Nodes from waveforms (B, S) to features (B, F, T) and their lengths (B,)."""
    spectrogram, normalization = front_end.features, front_end.normalization
    level = getattr(normalization, "level", None)
    samples = "waveforms" if level is None else _leveled(graph, level)
    values, frames, mask = _spectra(graph, spectrogram, samples)
    if isinstance(normalization, UtteranceNormalization):
        values = _by_utterance(graph, values, frames, mask, normalization, spectrogram.n_features)
    elif isinstance(normalization, GlobalNormalization):
        values = graph.node("Mul", layers.by_corpus(graph, normalization, values), mask)
    elif not isinstance(normalization, NoNormalization):
        raise ConfigError(f"{type(normalization).__name__} has no counterpart in ONNX here")
    return values, frames


def network(graph: Graph, model: DeepSpeech2, values: str, frames: str) -> tuple[str, str]:
    """Nodes from features (B, F, T) to log-probabilities (B, T', V) and their lengths (B,)."""
    x = graph.node("Unsqueeze", values, [1])
    for block in model.convolutions.blocks:
        assert isinstance(block, ConvolutionBlock)
        x, frames = _convolution(graph, block, x, frames)
    x = layers.as_sequence(graph, x)
    lengths = graph.node("Cast", graph.node("Max", frames, [1]), to=6)  # int32
    for layer in model.layers:
        assert isinstance(layer, RecurrentLayer)
        x, _ = layers.recurrence(graph, layer, x, lengths)
    if model.lookahead is not None:
        x = graph.node("Mul", x, _mask(graph, x, 0, frames, (1, 0, 2)))
        x = graph.node("Transpose", x, perm=[1, 2, 0])
        x = layers.lookahead(graph, model.lookahead, x, model.lookahead.n_frames)
        x = graph.node("Transpose", x, perm=[2, 0, 1])
    logits = graph.node("Transpose", layers.logits(graph, model, x), perm=[1, 0, 2])
    return graph.node("LogSoftmax", logits, axis=2), frames


def _leveled(graph: Graph, level: float) -> str:
    """Waveforms (B, S) as :func:`deepspeech2.transforms.feature_normalization.leveled` scales
    them.
    """
    mask = graph.node("Squeeze", _mask(graph, "waveforms", 1, "lengths", (0, 1, 2)), [2])
    data = graph.node("Mul", "waveforms", mask)
    wide = graph.node("Cast", data, to=11)  # double
    energy = graph.node("ReduceSum", graph.node("Mul", wide, wide), [1])
    count = graph.node("Cast", graph.node("Max", "lengths", [1]), to=11)
    power = graph.node("Cast", graph.node("Div", energy, graph.node("Unsqueeze", count, [1])), to=1)
    power = graph.node("Max", power, SILENCE)
    gain = graph.node("Sqrt", graph.node("Div", 10 ** (level / 10), power))
    return graph.node("Mul", data, gain)


def _spectra(graph: Graph, spectrogram: Spectrogram, waveforms: str) -> tuple[str, str, str]:
    """Log spectra (B, F, T), how many frames they have (B,), and a mask (B, 1, T)."""
    n_fft, hop, margin = spectrogram.n_fft, spectrogram.hop_length, spectrogram.n_fft // 2
    size = graph.node("Shape", waveforms, start=1, end=2)
    last = graph.node("Squeeze", graph.node("Add", size, [margin]), [0])
    # beyond its ends an utterance is continued by its mirror image
    ends = graph.node("Unsqueeze", "lengths", [1])
    index = layers.folded(graph, graph.node("Range", -margin, last, 1), ends)
    samples = graph.node("GatherElements", waveforms, index, axis=1)
    x = layers.log_spectra(graph, spectrogram, graph.node("Unsqueeze", samples, [1]))
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
    """Convolution, normalisation, mask, activation on (B, C, F, T)."""
    kernel, stride = block.convolution.kernel_size, block.convolution.stride
    padding = [kernel[0] // 2, kernel[1] // 2]
    x = layers.convolution(graph, block, x, padding)
    frames = _divided(graph, frames, 2 * padding[1] - kernel[1], stride[1])
    mask = graph.node("Unsqueeze", _mask(graph, x, 3, frames, (0, 2, 1)), [1])
    return layers.activation(graph, block, graph.node("Mul", x, mask)), frames


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
