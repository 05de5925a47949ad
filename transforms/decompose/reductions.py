"""Reductions: maxima by a mask of where they are, the others from sums."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from svgd_onnx.transforms.rule import (
    RefusedError,
    Rule,
    input_of,
    inputs_of,
    integer,
    known_constant,
    known_rank,
    rank,
)
from svgd_onnx.transforms.writer import Writer


def reduced_axes(node: ir.Node) -> list[int]:
    """The axes of a reduction, attribute or input.

    Raises:
        RefusedError: they are not known, or are none of its input's.
    """
    axes = _given_axes(node)
    (x,) = inputs_of(node, 1)
    found = rank(x)
    for axis in axes:
        if found is not None and not -found <= axis < found:
            raise RefusedError(f"it reduces axis {axis} of an input of {found}")
    return axes


def _given_axes(node: ir.Node) -> list[int]:
    attribute = node.attributes.get("axes")
    if attribute is not None:
        return list(attribute.as_ints())
    given = input_of(node, 1)
    if given is not None:
        array = known_constant(given, "its axes are")
        if array.size or integer(node, "noop_with_empty_axes", 0):
            return [int(axis) for axis in array]
    elif integer(node, "noop_with_empty_axes", 0):
        return []
    (x,) = inputs_of(node, 1)
    return list(range(known_rank(x)))


def reduces_all(node: ir.Node) -> bool:
    """Whether a reduction is of all axes for want of any given."""
    noop = integer(node, "noop_with_empty_axes", 0)
    return "axes" not in node.attributes and input_of(node, 1) is None and not noop


def _extremum(
    write: Writer, x: ir.Value, op_type: str, axes: Sequence[int], keepdims: bool
) -> ir.Value:
    # The gradient goes to where the extremum is, in equal parts where it is in several places.
    peak = write.reduce(op_type, x, axes)
    mask = write.cast(write.node("Equal", x, peak), "float32")
    total = write.reduce("ReduceSum", write.node("Mul", x, mask), axes, keepdims=keepdims)
    return write.node("Div", total, write.reduce("ReduceSum", mask, axes, keepdims=keepdims))


def extremum(node: ir.Node, write: Writer) -> ir.Value:
    (x,) = inputs_of(node, 1)
    return _extremum(write, x, node.op_type, reduced_axes(node), bool(integer(node, "keepdims", 1)))


def global_max_pool(node: ir.Node, write: Writer) -> ir.Value:
    (x,) = inputs_of(node, 1)
    return _extremum(write, x, "ReduceMax", range(2, known_rank(x)), keepdims=True)


def global_lp_pool(node: ir.Node, write: Writer) -> ir.Value:
    """(sum |x|^p)^(1/p) over all axes but the first two."""
    p = integer(node, "p", 2)
    (x,) = inputs_of(node, 1)
    axes = range(2, known_rank(x))
    if p == 1:
        return write.reduce("ReduceSum", write.node("Abs", x), axes)
    if p == 2:
        return write.reduce("ReduceL2", x, axes)
    raise RefusedError(f"its p is {p}, and known are 1 and 2")


def _of_sum(before: str | None, after: str | None) -> Rule:
    def rule(node: ir.Node, write: Writer) -> ir.Value:
        axes = reduced_axes(node)
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
    "GlobalLpPool": global_lp_pool,
    "GlobalMaxPool": global_max_pool,
    "ReduceL1": _of_sum("Abs", None),
    "ReduceLogSum": _of_sum(None, "Log"),
    "ReduceMax": extremum,
    "ReduceMin": extremum,
    "ReduceSumSquare": _of_sum("Mul", None),
}
