"""A small builder of ONNX graphs, and weights in eight bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Array = npt.NDArray[Any]
OPSET = 20


class Graph:
    """Nodes and constants in the order in which they are asked for; names are made here.

    Args:
        int8: store large weights as whole numbers of 8 bits with a scale for each output;
            they become float32 when the model is loaded.
    """

    def __init__(self, *, int8: bool = False) -> None:
        self.int8 = int8
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Array | float | Sequence[int]) -> str:
        """The name of a constant; Python's whole numbers become int64, others float32."""
        array = np.asarray(value)
        if array.dtype.kind == "f":
            array = array.astype(np.float32)
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def weight(self, value: Array, axis: int) -> str:
        """A large weight whose outputs lie along ``axis``."""
        if not self.int8:
            return self.constant(value)
        others = tuple(other for other in range(value.ndim) if other != axis)
        scale = np.maximum(np.abs(value).max(axis=others), 1e-12) / 127
        shape = [-1 if each == axis else 1 for each in range(value.ndim)]
        whole = np.round(value / scale.reshape(shape)).astype(np.int8)
        return self.node("DequantizeLinear", self.constant(whole), self.constant(scale), axis=axis)

    def node(self, kind: str, *inputs: str | float | Sequence[int], **attributes: Any) -> str:
        """Add a node with one output, whose name is returned; numbers become constants."""
        return self.nodes_of(kind, 1, *inputs, **attributes)[0]

    def nodes_of(
        self, kind: str, count: int, *inputs: str | float | Sequence[int], **attributes: Any
    ) -> list[str]:
        """The same with several outputs."""
        names = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        outputs = [f"n{len(self.nodes)}_{index}" for index in range(count)]
        self.nodes.append(helper.make_node(kind, names, outputs, **attributes))
        return outputs

    def rename(self, name: str, wanted: str) -> None:
        """Give an output of the model its name."""
        self.nodes.append(helper.make_node("Identity", [name], [wanted]))
