"""The tape that passes and rules write nodes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

Attributes = Mapping[str, Any]


class Writer:
    """Writes nodes and constants, named after what they stand for.

    Args:
        prefix: what their names begin with.
        opset: version of the default domain.
    """

    def __init__(self, prefix: str, opset: int) -> None:
        self._prefix = prefix
        self.opset = opset
        self.nodes: list[ir.Node] = []
        self.constants: list[ir.Value] = []

    def node(self, op_type: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        """A node with one output."""
        return self.nodes_with(op_type, inputs, attributes, 1)[0]

    def nodes_with(
        self, op_type: str, inputs: Sequence[ir.Value | None], attributes: Attributes, outputs: int
    ) -> Sequence[ir.Value]:
        """A node with several outputs."""
        name = f"{self._prefix}/{op_type}_{len(self.nodes)}"
        created = ir.node(op_type, inputs, attributes, num_outputs=outputs, name=name)
        for index, value in enumerate(created.outputs):
            value.name = name if outputs == 1 else f"{name}_{index}"
        if op_type == "Cast":
            created.outputs[0].dtype = ir.DataType(attributes["to"])
        self.nodes.append(created)
        return created.outputs

    def constant(self, array: np.ndarray) -> ir.Value:
        """A constant tensor."""
        name = f"{self._prefix}/constant_{len(self.constants)}"
        value = ir.val(name, const_value=ir.tensor(array, name=name))
        self.constants.append(value)
        return value

    def scalar(self, number: float) -> ir.Value:
        """A float32 scalar."""
        return self.constant(np.array(number, np.float32))

    def integer(self, number: int) -> ir.Value:
        """An int64 scalar."""
        return self.constant(np.array(number, np.int64))

    def integers(self, *numbers: int) -> ir.Value:
        """An int64 vector: axes, or a shape."""
        return self.constant(np.array(numbers, np.int64))

    def cast(self, value: ir.Value, dtype: str) -> ir.Value:
        """The value as another element type, by NumPy's name of it."""
        return self.node("Cast", value, to=ir.DataType.from_numpy(np.dtype(dtype)))

    def reduce(
        self, op_type: str, value: ir.Value, axes: Sequence[int], *, keepdims: bool = True
    ) -> ir.Value:
        """A reduction; its axes are an attribute before opset 18 (ReduceSum: 13), an input after."""
        if self.opset >= (13 if op_type == "ReduceSum" else 18):
            return self.node(op_type, value, self.integers(*axes), keepdims=int(keepdims))
        return self.node(op_type, value, axes=list(axes), keepdims=int(keepdims))
