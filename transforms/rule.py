"""What a rule is that writes a node with others, and what rules ask of a node."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.writer import Writer

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
