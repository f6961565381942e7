"""Checkpoints as ONNX: waveforms and their lengths in, log-probabilities and theirs out; or,
for streams, a piece of a recording and a state in, log-probabilities and the next state out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepspeech2 import checkpoint
from deepspeech2.checkpoint import onnx_pieces as streams
from deepspeech2.checkpoint.onnx_file import INPUTS, KEY, OUTPUTS, STREAM
from deepspeech2.errors import ConfigError
from deepspeech2.files import write_whole
from deepspeech2.pipeline import Pipeline

if TYPE_CHECKING:
    from onnx import GraphProto


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
        from onnx import helper

        from deepspeech2.extras.interchange import onnx_graph
    except ImportError as error:
        raise ConfigError(
            f"{path} needs the package onnx: pip install -r requirements-onnx.txt"
        ) from error
    rest = {key: value for key, value in content.items() if key != "state_dict"}
    rest = {"format": checkpoint.FORMAT, "version": checkpoint.VERSION, **rest}
    if streaming:
        graph, rest[STREAM] = _of_streams(pipeline, int8)
    else:
        graph = _of_batches(pipeline, int8)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", onnx_graph.OPSET)],
        ir_version=10,
        producer_name="deepspeech2",
    )
    helper.set_model_props(model, {KEY: json.dumps(rest)})
    onnx.checker.check_model(model)
    write_whole(path, model.SerializeToString())


def _of_batches(pipeline: Pipeline, int8: bool) -> GraphProto:
    from onnx import TensorProto, helper

    from deepspeech2.extras.interchange import onnx_model
    from deepspeech2.extras.interchange.onnx_graph import Graph

    graph = Graph(int8=int8)
    values, frames = onnx_model.features(graph, pipeline.front_end)
    log_probs, frames = onnx_model.network(graph, pipeline.network, values, frames)
    for name, wanted in zip((log_probs, frames), OUTPUTS, strict=True):
        graph.rename(name, wanted)
    floats, wholes, value = TensorProto.FLOAT, TensorProto.INT64, helper.make_tensor_value_info
    inputs = [
        value(INPUTS[0], floats, ["batch", "samples"]),
        value(INPUTS[1], wholes, ["batch"]),
    ]
    outputs = [
        value(OUTPUTS[0], floats, ["batch", "frames", pipeline.network.n_tokens]),
        value(OUTPUTS[1], wholes, ["batch"]),
    ]
    return helper.make_graph(graph.nodes, "deepspeech2", inputs, outputs, graph.constants)


def _of_streams(pipeline: Pipeline, int8: bool) -> tuple[GraphProto, dict[str, Any]]:
    """The graph, and what a program must know that runs it."""
    from onnx import TensorProto, helper

    from deepspeech2.extras.interchange import onnx_stream
    from deepspeech2.extras.interchange.onnx_graph import Graph

    pieces, states = onnx_stream.pieces(pipeline), onnx_stream.states(pipeline)
    graph = Graph(int8=int8)
    log_probs, after = onnx_stream.graph_of(graph, pipeline)
    graph.rename(log_probs, streams.OUTPUT)
    floats, wholes, value = TensorProto.FLOAT, TensorProto.INT64, helper.make_tensor_value_info
    inputs = [
        value(streams.INPUTS[0], floats, ["samples"]),
        value(streams.INPUTS[1], wholes, [1]),
    ]
    outputs = [value(streams.OUTPUT, floats, ["frames", pipeline.network.n_tokens])]
    for each in states:
        following = f"{streams.NEXT}{each.name}"
        graph.rename(after[each.name], following)
        kind = wholes if each.whole else floats
        inputs.append(value(each.name, kind, each.axes))
        outputs.append(value(following, kind, each.axes))
    told = {
        "state": {each.name: list(each.shape) for each in states},
        "first_samples": pieces.first,
        "samples": pieces.other,
    }
    made = helper.make_graph(graph.nodes, "deepspeech2", inputs, outputs, graph.constants)
    return made, told
