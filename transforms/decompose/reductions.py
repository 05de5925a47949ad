"""Reductions: maxima by a mask of where they are, the others from sums."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from svgd_onnx.transforms.rule import Rule, constant_value, inputs_of, integer, rank
from svgd_onnx.transforms.writer import Writer


def _axes(node: ir.Node) -> list[int] | None:
    """The axes of a reduction, attribute or input; None if they are not known."""
    attribute = node.attributes.get("axes")
    if attribute is not None:
        return list(attribute.as_ints())
    given = node.inputs[1] if len(node.inputs) > 1 else None
    if given is not None:
        array = constant_value(given)
        if array is None:
            return None
        if array.size or integer(node, "noop_with_empty_axes", 0):
            return [int(axis) for axis in array]
    (x,) = inputs_of(node, 1)
    size = rank(x)
    return None if size is None else list(range(size))


def _extremum(
    write: Writer, x: ir.Value, op_type: str, axes: Sequence[int], keepdims: bool
) -> ir.Value:
    # The gradient goes to where the extremum is, in equal parts where it is in several places.
    peak = write.reduce(op_type, x, axes)
    mask = write.node("Cast", write.node("Equal", x, peak), to=ir.DataType.FLOAT)
    total = write.reduce("ReduceSum", write.node("Mul", x, mask), axes, keepdims=keepdims)
    return write.node("Div", total, write.reduce("ReduceSum", mask, axes, keepdims=keepdims))


def extremum(node: ir.Node, write: Writer) -> ir.Value | None:
    axes = _axes(node)
    if axes is None:
        return None
    (x,) = inputs_of(node, 1)
    return _extremum(write, x, node.op_type, axes, bool(integer(node, "keepdims", 1)))


def global_max_pool(node: ir.Node, write: Writer) -> ir.Value | None:
    (x,) = inputs_of(node, 1)
    size = rank(x)
    if size is None:
        return None
    return _extremum(write, x, "ReduceMax", range(2, size), keepdims=True)


def _of_sum(before: str | None, after: str | None) -> Rule:
    def rule(node: ir.Node, write: Writer) -> ir.Value | None:
        axes = _axes(node)
        if axes is None:
            return None
        (x,) = inputs_of(node, 1)
        if before == "Mul":
            x = write.node("Mul", x, x)
        elif before is not None:
            x = write.node(before, x)
        keepdims = bool(integer(node, "keepdims", 1))
        total = write.reduce("ReduceSum", x, axes, keepdims=keepdims)
        return total if after is None else write.node(after, total)

    return rule


REDUCTIONS: dict[str, Rule] = {
    "GlobalMaxPool": global_max_pool,
    "ReduceL1": _of_sum("Abs", None),
    "ReduceLogSum": _of_sum(None, "Log"),
    "ReduceMax": extremum,
    "ReduceMin": extremum,
    "ReduceSumSquare": _of_sum("Mul", None),
}
