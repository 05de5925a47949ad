"""What a decomposition is, and the tape that it writes its nodes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

Attributes = Mapping[str, Any]


class Writer:
    """Writes nodes and constants, named after the node that they stand for.

    Args:
        node: the node that is decomposed.
        opset: version of the default domain.
    """

    def __init__(self, node: ir.Node, opset: int) -> None:
        self._prefix = node.outputs[0].name or node.name or node.op_type
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

    def integers(self, *numbers: int) -> ir.Value:
        """An int64 vector: axes, or a shape."""
        return self.constant(np.array(numbers, np.int64))

    def reduce(
        self, op_type: str, value: ir.Value, axes: Sequence[int], *, keepdims: bool = True
    ) -> ir.Value:
        """A reduction; its axes are an attribute before opset 18 (ReduceSum: 13), an input after."""
        if self.opset >= (13 if op_type == "ReduceSum" else 18):
            return self.node(op_type, value, self.integers(*axes), keepdims=int(keepdims))
        return self.node(op_type, value, axes=list(axes), keepdims=int(keepdims))


# Writes the decomposition of a node and returns its outputs, or None if it cannot.
Rule = Callable[[ir.Node, Writer], "ir.Value | Sequence[ir.Value | None] | None"]


def inputs_of(node: ir.Node, count: int) -> list[ir.Value]:
    """The first `count` inputs, all of which the operator requires."""
    values = list(node.inputs[:count])
    assert len(values) == count and all(value is not None for value in values), node
    return [value for value in values if value is not None]


def integer(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def integers(node: ir.Node, name: str, default: Sequence[int]) -> list[int]:
    """An attribute of several integers."""
    attribute = node.attributes.get(name)
    return list(default if attribute is None else attribute.as_ints())


def number(node: ir.Node, name: str, default: float) -> float:
    """A float attribute."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_float()


def text(node: ir.Node, name: str, default: str) -> str:
    """A string attribute."""
    attribute = node.attributes.get(name)
    return default if attribute is None else attribute.as_string()


def rank(value: ir.Value) -> int | None:
    """How many axes a value has, if that is known."""
    return None if value.shape is None else len(value.shape)


def static_shape(value: ir.Value, first: int = 0) -> tuple[int, ...] | None:
    """The sizes of a value's axes from `first` on, if all are fixed."""
    if value.shape is None:
        return None
    dims = list(value.shape)[first:]
    if not all(isinstance(dim, int) for dim in dims):
        return None
    return tuple(int(dim) for dim in dims if isinstance(dim, int))


def constant_value(value: ir.Value | None) -> np.ndarray | None:
    """The value of an initializer."""
    if value is None or value.const_value is None:
        return None
    return value.const_value.numpy()
