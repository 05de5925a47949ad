"""What a rule is that writes a node with others, and what rules ask of a node.

A rule is a function and a `Writer`. It returns the outputs, or None for a node that is fine as it is,
or raises `RefusedError` where it cannot write the node, which says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.bodies import take_out
from svgd_onnx.transforms.writer import Writer, take_place

Written = Sequence["ir.Value | None"]
Rule = Callable[[ir.Node, Writer], "ir.Value | Written | None"]

_Entry = TypeVar("_Entry")


# How reasons end that would not be there if the sizes of the model's inputs were fixed.
_NOT_FIXED, _NOT_KNOWN = "is not fixed", "is not known"


class RefusedError(Exception):
    """Why a rule cannot write a node: a phrase for a message, such as "its axes are not constant"."""


def is_of_sizes(reason: str) -> bool:
    """Whether a node cannot be written because a size, or the number of axes, is open."""
    return reason.rstrip(")").endswith((_NOT_FIXED, _NOT_KNOWN))


def table(*parts: Mapping[str, _Entry]) -> dict[str, _Entry]:
    """One table of rules from those of several files.

    Raises:
        ValueError: two of them have a rule for the same operator.
    """
    whole: dict[str, _Entry] = {}
    for part in parts:
        twice = whole.keys() & part.keys()
        if twice:
            raise ValueError(f"several rules for {', '.join(sorted(twice))}")
        whole.update(part)
    return whole


def apply_rule(graph: ir.Graph, node: ir.Node, rule: Rule) -> bool:
    """Replaces a node by what a rule writes for it.

    The outputs keep their names, types and shapes, so that what was known about them holds on.

    Returns:
        Whether the rule wrote anything.

    Raises:
        RefusedError: the rule cannot write the node; the graph is as it was.
    """
    prefix = node.outputs[0].name or node.name or node.op_type
    writer = Writer(prefix, graph.opset_imports[""])
    try:
        written = rule(node, writer)
    except RefusedError:
        writer.withdraw()
        raise
    if written is None:
        return False
    outputs = [written] if isinstance(written, ir.Value) else list(written)
    writer.insert_before(graph, node)
    for old, new in zip(node.outputs, outputs):
        if new is not None and old.name:
            take_place(new, old)
            old.replace_all_uses_with(new, replace_graph_outputs=True)
    take_out(graph, node)
    return True


def inputs_of(node: ir.Node, count: int) -> list[ir.Value]:
    """The first `count` inputs, all of which the operator requires."""
    values = list(node.inputs[:count])
    assert len(values) == count and all(value is not None for value in values), node
    return [value for value in values if value is not None]


def only_reader(value: ir.Value) -> ir.Node | None:
    """The node of the value's own graph that alone reads it, once; None if something else does, too."""
    readers = [reader for reader, _ in value.uses()]
    if len(readers) != 1 or value.is_graph_output() or readers[0].graph is not value.graph:
        return None
    return readers[0]


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


def attributes_of(node: ir.Node) -> dict[str, Any]:
    """All attributes, to be given to another node."""
    return {attribute.name: attribute.value for attribute in node.attributes.values()}


def input_of(node: ir.Node, index: int) -> ir.Value | None:
    """An input that the operator does not require; None if it is not given."""
    return node.inputs[index] if len(node.inputs) > index else None


def rank(value: ir.Value) -> int | None:
    """How many axes a value has, if that is known."""
    return None if value.shape is None else len(value.shape)


def known_rank(*values: ir.Value, of: str = "its input") -> int:
    """How many axes the first of several values of one shape has that is known.

    Raises:
        RefusedError: it is known of none.
    """
    for value in values:
        if value.shape is not None:
            return len(value.shape)
    raise RefusedError(f"the number of axes of {of} {_NOT_KNOWN}")


def static_shape(
    value: ir.Value, first: int = 0, last: int | None = None
) -> tuple[int, ...] | None:
    """The sizes of a value's axes from `first` on, and before `last`, if all are fixed."""
    if value.shape is None:
        return None
    dims = list(value.shape)[first:last]
    if not all(isinstance(dim, int) for dim in dims):
        return None
    return tuple(int(dim) for dim in dims if isinstance(dim, int))


def fixed_sizes(value: ir.Value, first: int = 0, of: str = "its input") -> tuple[int, ...]:
    """The sizes of a value's axes from `first` on.

    Raises:
        RefusedError: they are not all fixed.
    """
    for axis in range(first, known_rank(value, of=of)):
        fixed_size(value, axis, of)
    sizes = static_shape(value, first)
    assert sizes is not None
    return sizes


def fixed_size(value: ir.Value, axis: int, of: str = "its input") -> int:
    """The size of one axis.

    Raises:
        RefusedError: it is not fixed.
    """
    size = value.shape[axis] if value.shape is not None else None
    if not isinstance(size, int):
        raise RefusedError(f"the size of axis {axis} of {of} {_NOT_FIXED}")
    return size


def constant_value(value: ir.Value | None) -> np.ndarray | None:
    """The value of an initializer."""
    if value is None or value.const_value is None:
        return None
    return value.const_value.numpy()


def known_constant(value: ir.Value | None, what: str) -> np.ndarray:
    """The value of an initializer.

    Raises:
        RefusedError: it is none; says that `what` are not constant.
    """
    array = constant_value(value)
    if array is None:
        raise RefusedError(f"{what} not constant")
    return array
