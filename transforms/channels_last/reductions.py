"""Sums, means and others over some axes, and pooling over all of an image."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.channels_last.layout import (
    FEWEST_AXES,
    Last,
    Layout,
    Rule,
    Second,
    Written,
    axes_of,
    moved_axis,
)
from svgd_onnx.transforms.rule import RefusedError, inputs_of, integer, known_rank
from svgd_onnx.transforms.writer import Writer

_REDUCTIONS = (
    *("ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum"),
    "ReduceSumSquare",
)


def _reduction(node: ir.Node, layout: Layout) -> Written:
    (x,) = inputs_of(node, 1)
    rank = known_rank(x)
    axes = axes_of(node, rank)
    keeps = bool(integer(node, "keepdims", 1))
    left = [axis for axis in range(rank) if axis not in axes]
    if node.op_type == "ReduceSum" and left == [1] and not keeps:
        return [Second(sums_of_channels(layout.write, layout.last(x)))]
    moved = sorted(moved_axis(axis, rank) for axis in axes)
    written = layout.write.reduce(node.op_type, layout.last(x), moved, keepdims=keeps)
    if keeps:
        return [Last(written)]
    if len(left) >= FEWEST_AXES and left[:2] == [0, 1]:
        return [Last(written)]
    if sorted(left, key=lambda axis: moved_axis(axis, rank)) == left:
        return [Second(written)]
    raise RefusedError("what is left is in another order")


def sums_of_channels(write: Writer, last: ir.Value) -> ir.Value:
    """The sums over all other axes of a value with channels last.

    Of each example first: onnxruntime takes 20 times as long for a sum over all leading axes at once.
    """
    channels = write.node("Shape", last, start=-1)
    shape = write.node("Concat", write.integers(0, -1), channels, axis=0)
    of_examples = write.reduce("ReduceSum", write.node("Reshape", last, shape), [1], keepdims=False)
    return write.reduce("ReduceSum", of_examples, [0], keepdims=False)


def _global_mean(node: ir.Node, layout: Layout) -> Written:
    (x,) = inputs_of(node, 1)
    axes = range(1, known_rank(x) - 1)
    return [Last(layout.write.reduce("ReduceMean", layout.last(x), axes))]


REDUCTIONS: dict[str, Rule] = {
    **dict.fromkeys(_REDUCTIONS, _reduction),
    "GlobalAveragePool": _global_mean,
}
