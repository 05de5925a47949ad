"""Operators that select elements, by the places of these."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from svgd_onnx.transforms.rule import Rule, attributes_of, inputs_of, integer
from svgd_onnx.transforms.writer import Writer


def compress(node: ir.Node, write: Writer) -> ir.Value:
    x, condition = inputs_of(node, 2)
    places = write.node("Reshape", write.node("NonZero", condition), write.integers(-1))
    return _taken(node, write, x, places)


def _taken(node: ir.Node, write: Writer, x: ir.Value, places: ir.Value) -> ir.Value:
    """What lies at some places of an axis, or if none is given of all axes as one."""
    if "axis" in node.attributes:
        return write.node("Gather", x, places, axis=integer(node, "axis", 0))
    return write.node("Gather", write.node("Reshape", x, write.integers(-1)), places)


def unique(node: ir.Node, write: Writer) -> Sequence[ir.Value]:
    """What occurs several times is taken from where it occurs first."""
    (x,) = inputs_of(node, 1)
    attributes = attributes_of(node)
    found = write.nodes_with("Unique", [x], attributes, 4)
    return [_taken(node, write, x, found[1]), *found[1:]]


SELECTION: dict[str, Rule] = {
    "Compress": compress,
    "Unique": unique,
}
