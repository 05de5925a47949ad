"""Sums of two values, of which one may be made where the other lies."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from svgd_onnx.transforms.rule import only_reader, static_shape


def terms_of(node: ir.Node) -> Iterator[tuple[ir.Node, ir.Value]]:
    """Of an Add or a Sum of two: what makes each of them, with the other.

    There are none where something else reads one of them, too, or where they are not of one fixed shape.
    """
    if len(node.inputs) != 2:
        return
    first, second = node.inputs
    if first is None or second is None or static_shape(first) is None:
        return
    if static_shape(first) != static_shape(second):
        return
    if any(only_reader(value) is not node for value in (first, second)):
        return
    for value, other in ((first, second), (second, first)):
        producer = value.producer()
        if producer is not None:
            yield producer, other
