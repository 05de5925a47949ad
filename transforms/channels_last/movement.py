"""Operators that move elements, or say how many there are."""

from __future__ import annotations

from math import prod

import numpy as np
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
    to_last,
    to_second,
)
from svgd_onnx.transforms.rule import (
    RefusedError,
    attributes_of,
    constant_value,
    input_of,
    inputs_of,
    integer,
    integers,
    known_constant,
    known_rank,
    static_shape,
)


def _transpose(node: ir.Node, layout: Layout) -> Written:
    """One Transpose in place of two, or none."""
    (x,) = inputs_of(node, 1)
    last = layout.last(x)
    rank = known_rank(x)
    permutation = integers(node, "perm", range(rank - 1, -1, -1))
    # with channels last an axis of x lies elsewhere
    whole = [moved_axis(axis, rank) for axis in permutation]
    if whole == list(range(rank)):
        return [Second(layout.write.node("Identity", last))]
    return [Second(layout.write.node("Transpose", last, perm=whole))]


def _reshape(node: ir.Node, layout: Layout) -> Written:
    """To a shape with the same batch and channels, or between (N, C) and (N, C, 1, ...)."""
    (x,) = inputs_of(node, 1)
    output = node.outputs[0]
    before, after = static_shape(x, 1), static_shape(output, 1)
    if before is None or after is None or not before or not after:
        raise RefusedError("its sizes are not fixed")
    if prod(before) != prod(after):
        raise RefusedError("it divides the batch")
    write = layout.write
    if len(after) == 1 and prod(before[1:]) == 1:
        return [Second(write.node("Reshape", layout.last(x), write.integers(-1, *after)))]
    if len(before) == 1 and prod(after[1:]) == 1:
        sizes = write.integers(-1, *after[1:], after[0])
        return [Last(write.node("Reshape", x, sizes))]
    if before[0] != after[0] or min(len(before), len(after)) < FEWEST_AXES - 1:
        raise RefusedError("it divides the channels")
    sizes = write.integers(-1, *after[1:], after[0])
    return [Last(write.node("Reshape", layout.last(x), sizes))]


def _unsqueeze(node: ir.Node, layout: Layout) -> Written:
    (x,) = inputs_of(node, 1)
    rank = known_rank(x) + _count(node)
    axes = axes_of(node, rank)
    if min(axes) < 2:
        raise RefusedError("an axis comes before the channels")
    written = layout.write.node(
        "Unsqueeze",
        layout.last(x),
        layout.write.integers(*sorted(moved_axis(axis, rank) for axis in axes)),
    )
    return [Last(written)]


def _count(node: ir.Node) -> int:
    return known_constant(input_of(node, 1), "its axes").size


def _squeeze(node: ir.Node, layout: Layout) -> Written:
    (x,) = inputs_of(node, 1)
    rank = known_rank(x)
    axes = axes_of(node, rank)
    if min(axes) < 2:
        raise RefusedError("an axis lies before the channels, or is their own")
    moved = layout.write.integers(*sorted(moved_axis(axis, rank) for axis in axes))
    written = layout.write.node("Squeeze", layout.last(x), moved)
    return [Last(written) if rank - len(axes) >= FEWEST_AXES else Second(written)]


def _expand(node: ir.Node, layout: Layout) -> Written:
    x, sizes = inputs_of(node, 2)
    rank = known_rank(node.outputs[0], of="its output")
    if rank < FEWEST_AXES or known_rank(sizes) != 1 or static_shape(sizes) != (rank,):
        raise RefusedError("its shape is not of its output")
    return [
        Last(layout.write.node("Expand", layout.operand(x, rank), _rearranged(layout, sizes, rank)))
    ]


def _rearranged(layout: Layout, sizes: ir.Value, rank: int, times: int = 1) -> ir.Value:
    """A vector with an entry, or several one after another, for each axis, as it is with channels last."""
    order = [axis + rank * part for part in range(times) for axis in to_last(rank)]
    constant = constant_value(sizes)
    if constant is not None:
        return layout.write.constant(constant[order])
    return layout.write.node("Gather", sizes, layout.write.integers(*order), axis=0)


def _pad(node: ir.Node, layout: Layout) -> Written:
    x, pads = inputs_of(node, 2)
    if input_of(node, 3) is not None:
        raise RefusedError("it names axes")
    rank = known_rank(x)
    inputs = [layout.last(x), _rearranged(layout, pads, rank, times=2), input_of(node, 2)]
    attributes = attributes_of(node)
    (written,) = layout.write.nodes_with("Pad", inputs[: len(node.inputs)], attributes, 1)
    return [Last(written)]


def _shape(node: ir.Node, layout: Layout) -> Written:
    """In the order of ONNX, whatever the layout."""
    (x,) = inputs_of(node, 1)
    rank = known_rank(x)
    places = to_second(rank)[integer(node, "start", 0) : integer(node, "end", rank)]
    whole = layout.write.node("Shape", layout.last(x))
    return [Second(layout.write.node("Gather", whole, layout.write.integers(*places), axis=0))]


def _size(node: ir.Node, layout: Layout) -> Written:
    (x,) = inputs_of(node, 1)
    return [Second(layout.write.node("Size", layout.last(x)))]


def _along_an_axis(node: ir.Node, layout: Layout) -> Written:
    """Concat, Split, Softmax and its gradient: what names one axis."""
    rank = known_rank(node.outputs[0], of="its output")
    attributes = attributes_of(node)
    default = 0 if node.op_type == "Split" else -1
    attributes["axis"] = moved_axis(int(attributes.get("axis", default)), rank)
    of_data = node.inputs[:1] if node.op_type == "Split" else node.inputs
    inputs = [layout.last(value) for value in of_data if value is not None]
    rest = node.inputs[len(of_data) :]
    found = layout.write.nodes_with(
        node.op_type, [*inputs, *rest], attributes, len(node.outputs), node.domain
    )
    return [Last(value) for value in found]


def _slice(node: ir.Node, layout: Layout) -> Written:
    x, starts, ends = inputs_of(node, 3)
    rank = known_rank(x)
    if input_of(node, 3) is None:
        axes = list(range(known_constant(starts, "its starts").size))
    else:
        axes = axes_of(node, rank, 3)
    # of the type of the others, which ONNX has as one
    narrow = starts.dtype == ir.DataType.INT32
    moved = np.array([moved_axis(axis, rank) for axis in axes], np.int32 if narrow else np.int64)
    inputs = [layout.last(x), starts, ends, layout.write.constant(moved), *node.inputs[4:]]
    return [Last(layout.write.node("Slice", *inputs))]


MOVEMENT: dict[str, Rule] = {
    "Concat": _along_an_axis,
    "Expand": _expand,
    "Flatten": _reshape,
    "LogSoftmax": _along_an_axis,
    "LogSoftmaxGrad_13": _along_an_axis,
    "Pad": _pad,
    "Reshape": _reshape,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "Softmax": _along_an_axis,
    "SoftmaxGrad_13": _along_an_axis,
    "Split": _along_an_axis,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
