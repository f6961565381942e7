"""Checkpoints as ONNX: waveforms and their lengths in, log-probabilities and theirs out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src import checkpoint
from src.checkpoint.onnx_file import INPUTS, KEY, OUTPUTS
from src.errors import CheckpointError, ConfigError
from src.pipeline import Pipeline


def write(content: Mapping[str, Any], pipeline: Pipeline, path: Path, *, int8: bool) -> None:
    """Write a pipeline and the rest of its checkpoint's ``content`` to ``path``.

    Args:
        int8: store large weights in 8 bits, with a scale for each output.

    Raises:
        ConfigError: the package onnx is not installed.
        CheckpointError: it could not be written.
    """
    try:
        import onnx
        from onnx import TensorProto, helper

        from src.interchange import onnx_graph, onnx_model
    except ImportError as error:
        raise ConfigError(
            f"{path} needs the package onnx: pip install -r requirements-onnx.txt"
        ) from error
    graph = onnx_graph.Graph(int8=int8)
    values, frames = onnx_model.features(graph, pipeline.front_end)
    log_probs, frames = onnx_model.network(graph, pipeline.network, values, frames)
    for name, wanted in zip((log_probs, frames), OUTPUTS, strict=True):
        graph.rename(name, wanted)
    n_tokens = pipeline.network.n_tokens
    floats, wholes = TensorProto.FLOAT, TensorProto.INT64
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "deepspeech2",
            [
                helper.make_tensor_value_info(INPUTS[0], floats, ["batch", "samples"]),
                helper.make_tensor_value_info(INPUTS[1], wholes, ["batch"]),
            ],
            [
                helper.make_tensor_value_info(OUTPUTS[0], floats, ["batch", "frames", n_tokens]),
                helper.make_tensor_value_info(OUTPUTS[1], wholes, ["batch"]),
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", onnx_graph.OPSET)],
        ir_version=10,
        producer_name="deepspeech2",
    )
    rest = {
        "format": checkpoint.FORMAT,
        "version": checkpoint.VERSION,
        **{key: value for key, value in content.items() if key != "state_dict"},
    }
    helper.set_model_props(model, {KEY: json.dumps(rest)})
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        onnx.save(model, temporary)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CheckpointError(f"{path} could not be written ({error.strerror})") from error
