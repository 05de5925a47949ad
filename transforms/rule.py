"""What a rule is that writes a node with others, and the tape that it writes them on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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


# Writes other nodes for a node and returns its outputs, or None if it cannot.
Rule = Callable[[ir.Node, Writer], "ir.Value | Sequence[ir.Value | None] | None"]


def apply_rule(graph: ir.Graph, node: ir.Node, rule: Rule) -> bool:
    """Replaces a node by what a rule writes for it.

    The outputs keep their names, types and shapes, so that what was known about them holds on.

    Returns:
        Whether the rule wrote anything.
    """
    prefix = node.outputs[0].name or node.name or node.op_type
    writer = Writer(prefix, graph.opset_imports[""])
    written = rule(node, writer)
    if written is None:
        return False
    outputs = [written] if isinstance(written, ir.Value) else list(written)
    for constant in writer.constants:
        graph.register_initializer(constant)
    graph.insert_before(node, writer.nodes)
    for old, new in zip(node.outputs, outputs):
        if new is None or not old.name:
            continue
        name, old.name = old.name, f"{old.name}/replaced"
        new.name, new.type, new.shape = name, old.type, old.shape
        old.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    return True


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
