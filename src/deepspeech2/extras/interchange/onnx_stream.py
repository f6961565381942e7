"""A network that streams as an ONNX graph: a piece of a recording and a state in, and out again.

The arithmetic is that of :class:`deepspeech2.transforms.streaming_front_end.StreamingFrontEnd` and
:class:`deepspeech2.model.streaming_network.StreamingNetwork`. A piece is long enough for each layer
to make a frame of it, so that nothing in the graph is ever empty.
"""

from __future__ import annotations

from dataclasses import dataclass

from deepspeech2.checkpoint.onnx_pieces import Pieces
from deepspeech2.errors import ConfigError
from deepspeech2.extras.interchange import onnx_layers as layers
from deepspeech2.extras.interchange.onnx_graph import Graph
from deepspeech2.model import DeepSpeech2
from deepspeech2.model.layers import ConvolutionBlock, RecurrentLayer
from deepspeech2.model.streaming_network import StreamingNetwork
from deepspeech2.pipeline import Pipeline
from deepspeech2.transforms import FrontEnd, GlobalNormalization
from deepspeech2.transforms.streaming_front_end import StreamingFrontEnd


@dataclass(frozen=True, slots=True)
class State:
    """One value of the state: its shape before the first sample, and what its axes are called."""

    name: str
    shape: tuple[int, ...]
    axes: tuple[str | int, ...]
    whole: bool = False  # int64 instead of float32


def pieces(pipeline: Pipeline) -> Pieces:
    """How many samples the first piece must have at least, and every other but the last.

    Raises:
        ConfigError: the model cannot stream, or not in pieces that give each layer a frame.
    """
    StreamingFrontEnd(pipeline.front_end)
    StreamingNetwork(pipeline.network)
    spectrogram = pipeline.front_end.features
    margin = spectrogram.n_fft // 2
    look = pipeline.network.lookahead
    frames = 1 if look is None else look.n_frames + 1
    for block in reversed(_blocks(pipeline.network)):
        kernel, step = block.convolution.kernel_size[1], block.convolution.stride[1]
        if step > kernel // 2 + 1:
            raise ConfigError(
                f"a convolution of {kernel} frames that steps by {step} cannot stream in ONNX:"
                " its step may be at most half its width and one"
            )
        frames = (frames - 1) * step + kernel - kernel // 2
    if spectrogram.hop_length > margin:
        raise ConfigError(
            f"a spectrum of {spectrogram.n_fft} samples every {spectrogram.hop_length} cannot"
            " stream in ONNX: windows must overlap by half"
        )
    first = (frames - 1) * spectrogram.hop_length + spectrogram.n_fft - margin
    return Pieces(max(first, margin + 1), spectrogram.hop_length * pipeline.network.time_stride)


def states(pipeline: Pipeline) -> list[State]:
    """The values of the state, in the order in which the graph takes and gives them."""
    found = [State("held", (0,), ("held",)), State("skip", (1,), (1,), whole=True)]
    n_features = pipeline.front_end.n_features
    for place, block in enumerate(_blocks(pipeline.network)):
        channels, before = block.convolution.in_channels, block.convolution.kernel_size[1] // 2
        name = f"convolution{place}"
        axes = (1, channels, n_features, f"{name}_frames")
        found.append(State(name, (1, channels, n_features, before), axes))
        n_features = block.output_features(n_features)
    for place, layer in enumerate(_layers(pipeline.network)):
        shape = (1, 1, layer.ahead.hidden_size)
        found += [State(f"{name}{place}", shape, shape) for name in layers.states(layer)]
    if pipeline.network.lookahead is not None:
        width = pipeline.network.output.in_features
        found.append(State("ahead", (1, width, 0), (1, width, "ahead_frames")))
    return found


def graph_of(graph: Graph, pipeline: Pipeline) -> tuple[str, dict[str, str]]:
    """Nodes from the inputs ``samples`` (S,) and ``last`` (1,), 1 in the last piece, and a state.

    Returns:
        The log-probabilities (T, V), and the next state by the names of :func:`states`.
    """
    after: dict[str, str] = {}
    x = graph.node("Unsqueeze", _features(graph, pipeline.front_end, after), [1])
    for place, block in enumerate(_blocks(pipeline.network)):
        name = f"convolution{place}"
        x = graph.node("Concat", name, x, axis=3)
        kernel, step = block.convolution.kernel_size, block.convolution.stride[1]
        x = _extended(graph, x, 4, kernel[1] // 2)
        out = layers.convolution(graph, block, x, [kernel[0] // 2, 0])
        used = graph.node("Mul", graph.node("Shape", out, start=3, end=4), [step])
        after[name] = graph.node("Slice", x, used, [_END], [3])
        x = layers.activation(graph, block, out)
    x = layers.as_sequence(graph, x)
    for place, layer in enumerate(_layers(pipeline.network)):
        names = [f"{name}{place}" for name in layers.states(layer)]
        x, handed = layers.recurrence(graph, layer, x, before=names)
        after.update(zip(names, handed, strict=True))
    if pipeline.network.lookahead is not None:
        x = _looked_ahead(graph, pipeline.network, x, after)
    logits = layers.logits(graph, pipeline.network, x)
    return graph.node("LogSoftmax", graph.node("Squeeze", logits, [1]), axis=1), after


_END = 2**62  # of a slice, beyond any end


def _features(graph: Graph, front_end: FrontEnd, after: dict[str, str]) -> str:
    """Features (1, F, T) of the samples that are held and those that have come."""
    spectrogram = front_end.features
    hop, margin = spectrogram.hop_length, spectrogram.n_fft // 2
    size = graph.node("Shape", "held", start=0, end=1)
    waves = graph.node("Concat", "held", "samples", axis=0)
    ends = graph.node("Shape", waves, start=0, end=1)
    first = graph.node("Cast", graph.node("Equal", size, [0]), to=7)  # int64
    begin = graph.node("Mul", first, [-margin])
    end = graph.node("Add", ends, graph.node("Mul", "last", [margin]))
    scalars = [graph.node("Squeeze", each, [0]) for each in (begin, end)]
    places = layers.folded(graph, graph.node("Range", *scalars, 1), ends)
    waves = graph.node("Gather", waves, places, axis=0)
    whole = graph.node("Slice", waves, "skip", [_END], [0])
    x = layers.log_spectra(graph, spectrogram, graph.node("Unsqueeze", whole, [0, 1]))
    count = graph.node("Shape", x, start=2, end=3)
    following = graph.node("Add", "skip", graph.node("Mul", count, [hop]))
    kept = graph.node("Sub", graph.node("Shape", waves, start=0, end=1), [margin + 1])
    dropped = graph.node("Max", graph.node("Min", following, kept), [0])
    after["held"] = graph.node("Slice", waves, dropped, [_END], [0])
    after["skip"] = graph.node("Sub", following, dropped)
    if isinstance(front_end.normalization, GlobalNormalization):
        return layers.by_corpus(graph, front_end.normalization, x)
    return x


def _looked_ahead(graph: Graph, model: DeepSpeech2, x: str, after: dict[str, str]) -> str:
    """(T, 1, C) with the frames that waited before them, as far as their future is known."""
    assert model.lookahead is not None
    held = graph.node("Concat", "ahead", graph.node("Transpose", x, perm=[1, 2, 0]), axis=2)
    out = layers.lookahead(
        graph, model.lookahead, _extended(graph, held, 3, model.lookahead.n_frames), 0
    )
    after["ahead"] = graph.node("Slice", held, graph.node("Shape", out, start=2), [_END], [2])
    return graph.node("Transpose", out, perm=[2, 0, 1])


def _extended(graph: Graph, x: str, n_axes: int, count: int) -> str:
    """``x`` with so many zeros behind its last axis if this is the last piece."""
    behind = graph.node("Mul", "last", [count])
    return graph.node("Pad", x, graph.node("Concat", [0] * (2 * n_axes - 1), behind, axis=0))


def _blocks(model: DeepSpeech2) -> list[ConvolutionBlock]:
    return [block for block in model.convolutions.blocks if isinstance(block, ConvolutionBlock)]


def _layers(model: DeepSpeech2) -> list[RecurrentLayer]:
    return [layer for layer in model.layers if isinstance(layer, RecurrentLayer)]
