"""Operators that move elements: the gradient goes back to where they came from."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.differentiate.gradients.broadcast import sum_to
from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule, Gradients
from svgd_onnx.transforms.differentiate.gradients.sizes import reshaped_like, shape_of
from svgd_onnx.transforms.lower.slicing import put_back
from svgd_onnx.transforms.rule import (
    RefusedError,
    constant_value,
    input_of,
    inputs_of,
    integer,
    integers,
    known_rank,
    text,
)


def reshape(back: Backward) -> Gradients:
    return [reshaped_like(back.write, back.dy, back.x)]


def transpose(back: Backward) -> Gradients:
    perm = integers(back.node, "perm", ()) or list(reversed(range(known_rank(back.x))))
    inverse = [perm.index(axis) for axis in range(len(perm))]
    return [back.write.node("Transpose", back.dy, perm=inverse)]


def expand(back: Backward) -> Gradients:
    return [sum_to(back.write, back.dy, back.y, back.x)]


def tile(back: Backward) -> Gradients:
    """Each axis becomes two, which copy and which place in it; summed over the first."""
    x, repeats = inputs_of(back.node, 2)
    write, rank = back.write, known_rank(back.x)
    columns = [
        write.node("Unsqueeze", each, write.integers(1)) for each in (repeats, shape_of(write, x))
    ]
    pairs = write.node("Concat", *columns, axis=1)
    apart = write.node("Reshape", back.dy, write.node("Reshape", pairs, write.integers(-1)))
    return [write.reduce("ReduceSum", apart, list(range(0, 2 * rank, 2)), keepdims=False)]


def concat(back: Backward) -> Gradients:
    axis = integer(back.node, "axis", 0)
    parts = inputs_of(back.node, len(back.node.inputs))
    if len(parts) == 1:
        return [back.dy]
    write = back.write
    sizes = [None if part.shape is None else part.shape[axis] for part in parts]
    if all(isinstance(size, int) for size in sizes):
        lengths = write.integers(*(int(size) for size in sizes if isinstance(size, int)))
    else:
        bounds = {"start": axis} if axis == -1 else {"start": axis, "end": axis + 1}
        lengths = write.node(
            "Concat", *(write.node("Shape", part, **bounds) for part in parts), axis=0
        )
    return write.nodes_with("Split", [back.dy, lengths], {"axis": axis}, len(parts))


def split(back: Backward) -> Gradients:
    write = back.write
    parts = [
        write.node("ConstantOfShape", shape_of(write, back.named(index)))
        if gradient is None
        else gradient
        for index, gradient in enumerate(back.gradients)
    ]
    if len(parts) == 1:
        return parts
    return [write.node("Concat", *parts, axis=integer(back.node, "axis", 0))]


def slice_(back: Backward) -> Gradients:
    """The training set's SliceGrad goes forwards only."""
    write, shape = back.write, shape_of(back.write, back.x)
    steps = input_of(back.node, 4)
    known = constant_value(steps)
    if steps is not None and (known is None or (known < 0).any()):
        return [put_back(write, back.dy, shape, back.node.inputs[1:], known_rank(back.x))]
    return back.training("SliceGrad", back.dy, shape, *back.node.inputs[1:])


def pad(back: Backward) -> Gradients:
    """Cuts off what was added, and adds zeros for what was cut off; the rest is the padding's."""
    if text(back.node, "mode", "constant") != "constant":
        raise RefusedError("its mode is not constant")
    _, pads = inputs_of(back.node, 2)
    write, axes = back.write, input_of(back.node, 3)
    rest = [] if axes is None else [None, axes]
    dx = write.node("Pad", back.dy, write.node("Neg", pads), *rest)

    def of_padding() -> ir.Value:
        totals = [write.node("ReduceSum", value, keepdims=0) for value in (back.dy, dx)]
        return write.node("Sub", *totals)

    return back.each(lambda: dx, None, of_padding)


def trilu(back: Backward) -> Gradients:
    diagonal = input_of(back.node, 1)
    upper = integer(back.node, "upper", 1)
    return [
        back.write.node("Trilu", back.dy, *([] if diagonal is None else [diagonal]), upper=upper)
    ]


def cumulative_sum(back: Backward) -> Gradients:
    """What came before sums what comes after."""
    _, axis = inputs_of(back.node, 2)
    return [
        back.write.node(
            "CumSum",
            back.dy,
            axis,
            exclusive=integer(back.node, "exclusive", 0),
            reverse=1 - integer(back.node, "reverse", 0),
        )
    ]


def reverse_sequence(back: Backward) -> Gradients:
    lengths = inputs_of(back.node, 2)[1]
    return [
        back.write.node(
            "ReverseSequence",
            back.dy,
            lengths,
            batch_axis=integer(back.node, "batch_axis", 1),
            time_axis=integer(back.node, "time_axis", 0),
        )
    ]


MOVEMENT: dict[str, GradientRule] = {
    "Concat": concat,
    "CumSum": cumulative_sum,
    "Expand": expand,
    "Flatten": reshape,
    "Pad": pad,
    "Reshape": reshape,
    "ReverseSequence": reverse_sequence,
    "Slice": slice_,
    "Split": split,
    "Squeeze": reshape,
    "Tile": tile,
    "Transpose": transpose,
    "Trilu": trilu,
    "Unsqueeze": reshape,
}
