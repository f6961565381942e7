"""Write checkpoints as ONNX: waveforms and lengths in, log-probabilities and lengths out; or, for
streams, a piece of a recording and a state in, log-probabilities and the next state out.

torch's exporter follows the model's own code, all but the Fourier transform ("ONNX export of
operator Unfold, input size not accessible"), which becomes a convolution. It is the exporter for
TorchScript, since the other one needs onnxscript. Eight bits are made here: ONNX Runtime's
``quantize_dynamic`` leaves the GRU's weights alone (13.5 MB became 13.0) and rounds the features.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from deepspeech2 import checkpoint
from deepspeech2.checkpoint.onnx_file import INPUTS, KEY, NEXT, OUTPUTS, STREAM, STREAM_INPUTS
from deepspeech2.errors import ConfigError
from deepspeech2.extras.interchange import onnx_modules as modules
from deepspeech2.files import write_whole
from deepspeech2.model.layers import ConvolutionBlock
from deepspeech2.model.streaming_network import StreamingNetwork
from deepspeech2.paths import install
from deepspeech2.pipeline import Pipeline
from deepspeech2.transforms.streaming_front_end import StreamingFrontEnd

if TYPE_CHECKING:
    from onnx import ModelProto

_OPSET = 17
_GROWING = {"held": 0, "convolution": 3, "ahead": 1}  # axes of the state that have any size
_WEIGHTS = {  # of a node: the place among its inputs, and the axis of its outputs
    "Conv": {1: 0},
    "MatMul": {1: 1},
    "GRU": {1: 1, 2: 1},
    "LSTM": {1: 1, 2: 1},
    "RNN": {1: 1, 2: 1},
}


def write(
    content: Mapping[str, Any], pipeline: Pipeline, path: Path, *, int8: bool, streaming: bool
) -> None:
    """Write a pipeline and the rest of its checkpoint's ``content`` to ``path``.

    Args:
        int8: store large weights in 8 bits, with a scale for each output.
        streaming: for recordings piece by piece instead of batches of whole ones.

    Raises:
        ConfigError: the package onnx is not installed, or the model cannot stream.
        OSError: it could not be written.
    """
    try:
        import onnx
    except ImportError as error:
        raise ConfigError(f"{path} needs the package onnx: {install('onnx')}") from error
    rest = {key: value for key, value in content.items() if key != "state_dict"}
    rest = {"format": checkpoint.FORMAT, "version": checkpoint.VERSION, **rest}
    if streaming:
        model, rest[STREAM] = _of_streams(pipeline)
    else:
        model = _of_batches(pipeline)
    if int8:
        _store_in_8_bits(model)
    model.producer_name = "deepspeech2"
    onnx.helper.set_model_props(model, {KEY: json.dumps(rest)})
    onnx.checker.check_model(model)
    write_whole(path, model.SerializeToString())


def _of_batches(pipeline: Pipeline) -> ModelProto:
    axes = {
        INPUTS[0]: {0: "batch", 1: "samples"},
        INPUTS[1]: {0: "batch"},
        OUTPUTS[0]: {0: "batch", 1: "frames"},
        OUTPUTS[1]: {0: "batch"},
    }
    n_samples = 4 * pipeline.front_end.features.n_fft
    given = (torch.zeros(2, n_samples), torch.tensor([n_samples, n_samples // 2]))
    return _followed(
        modules.Batches(pipeline), dict(zip(INPUTS, given, strict=True)), OUTPUTS, axes
    )


def _of_streams(pipeline: Pipeline) -> tuple[ModelProto, dict[str, Any]]:
    """Return the model, and what a program needs to know in order to run it."""
    first, other = _pieces(pipeline)
    module = modules.Stream(pipeline)
    state = module.start()
    piece = (torch.zeros(2 * first), torch.zeros(1, dtype=torch.int64))
    axes = {STREAM_INPUTS[0]: {0: "samples"}, OUTPUTS[0]: {0: "frames"}}
    for name in state:
        axis = _GROWING.get(name.rstrip("0123456789"))
        if axis is not None:
            axes[name] = axes[f"{NEXT}{name}"] = {axis: f"{name}_length"}
    model = _followed(
        module,
        {**dict(zip(STREAM_INPUTS, piece, strict=True)), **state},
        [OUTPUTS[0], *(f"{NEXT}{name}" for name in state)],
        axes,
    )
    # the exporter loses the shapes of states that it returns: they are those that it takes
    kinds = {each.name: each.type for each in model.graph.input}
    for output in model.graph.output:
        if output.name.removeprefix(NEXT) in kinds:
            output.type.CopyFrom(kinds[output.name.removeprefix(NEXT)])
    shapes = {name: list(value.shape) for name, value in state.items()}
    return model, {"state": shapes, "first_samples": first, "samples": other}


def _pieces(pipeline: Pipeline) -> tuple[int, int]:
    """Return the fewest samples of the first piece, and of every other but the last.

    Each layer makes a frame of them, so that nothing in the graph is ever empty.

    Raises:
        ConfigError: the model cannot stream, or not in pieces that give each layer a frame.
    """
    StreamingFrontEnd(pipeline.front_end)
    StreamingNetwork(pipeline.network)
    spectrogram = pipeline.front_end.features
    margin = spectrogram.n_fft // 2
    look = pipeline.network.lookahead
    frames = 1 if look is None else look.n_frames + 1
    for block in reversed(list(pipeline.network.convolutions.blocks)):
        assert isinstance(block, ConvolutionBlock)
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
    other = spectrogram.hop_length * pipeline.network.time_stride
    return max(first, margin + 1), other


def _followed(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
) -> ModelProto:
    """Return the model that torch's exporter makes of a module as it computes with ``inputs``.

    Args:
        axes: those that may have any size, by the names of inputs and outputs.
    """
    import onnx

    file: Any = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is the older one; conditions become fixed
        torch.onnx.export(
            module.eval(), tuple(inputs.values()), file, dynamo=False, opset_version=_OPSET,
            input_names=[*inputs], output_names=[*outputs], dynamic_axes=axes,
        )  # fmt: skip
    return onnx.load_from_string(file.getvalue())


def _store_in_8_bits(model: ModelProto) -> None:
    """Make large weights whole numbers of 8 bits with a scale for each output.

    They become float32 when the model is loaded.
    """
    from onnx import helper, numpy_helper

    floats = {each.name: each for each in model.graph.initializer}
    # a layer that is applied twice has its weights once more, through an Identity
    copies = {
        node.output[0]: node.input[0]
        for node in model.graph.node
        if node.op_type == "Identity" and node.input[0] in floats
    }
    for node in list(model.graph.node):
        if node.output[0] in copies:
            model.graph.node.remove(node)
        for place, name in enumerate(node.input):
            node.input[place] = copies.get(name, name)
    rounded: dict[str, str] = {}
    for node in list(model.graph.node):
        if any(each.name == "group" and each.i > 1 for each in node.attribute):
            continue  # the lookahead has a few weights for each channel
        for place, axis in _WEIGHTS.get(node.op_type, {}).items():
            name = node.input[place]
            if name not in floats or name.startswith(("front_end.", "spectra.")):
                continue
            if name not in rounded:
                value = numpy_helper.to_array(floats[name])
                others = tuple(other for other in range(value.ndim) if other != axis)
                scale = np.maximum(np.abs(value).max(axis=others, keepdims=True), 1e-12) / 127
                whole = np.round(value / scale).astype(np.int8)
                parts = {f"{name}.int8": whole, f"{name}.scale": scale.ravel()}
                made = [numpy_helper.from_array(part, title) for title, part in parts.items()]
                model.graph.initializer.extend(made)
                model.graph.initializer.remove(floats[name])
                rounded[name] = f"{name}.float"
                back = helper.make_node("DequantizeLinear", [*parts], [rounded[name]], axis=axis)
                model.graph.node.insert(0, back)
            node.input[place] = rounded[name]
