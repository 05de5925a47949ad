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
from svgd_onnx.transforms.rule import (
    RefusedError,
    constant_value,
    inputs_of,
    integer,
    known_rank,
    only_reader,
)
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


def read_by_sums_of_channels(node: ir.Node) -> ir.Value | None:
    """The sums that begin with a node as `sums_of_channels` writes them; None if it is another."""
    if node.op_type != "Reshape" or node.inputs[1] is None:
        return None
    shape = node.inputs[1].producer()
    if shape is None or shape.op_type != "Concat" or len(shape.inputs) != 2:
        return None
    start, channels = constant_value(shape.inputs[0]), shape.inputs[1]
    sizes = None if channels is None else channels.producer()
    if start is None or start.tolist() != [0, -1] or sizes is None or sizes.op_type != "Shape":
        return None
    if sizes.inputs[0] is not node.inputs[0] or integer(sizes, "start", 0) != -1:
        return None
    value = node.outputs[0]
    for axis in (1, 0):
        summed = only_reader(value)
        if summed is None or summed.op_type != "ReduceSum" or integer(summed, "keepdims", 1):
            return None
        try:
            axes = axes_of(summed, axis + 2)
        except RefusedError:
            return None
        if axes != [axis]:
            return None
        value = summed.outputs[0]
    return value


def _global_mean(node: ir.Node, layout: Layout) -> Written:
    (x,) = inputs_of(node, 1)
    axes = range(1, known_rank(x) - 1)
    return [Last(layout.write.reduce("ReduceMean", layout.last(x), axes))]


REDUCTIONS: dict[str, Rule] = {
    **dict.fromkeys(_REDUCTIONS, _reduction),
    "GlobalAveragePool": _global_mean,
}
