"""Operators that move elements: the gradient goes back to where they came from."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.differentiate.gradients.broadcast import sum_to
from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule, Gradients
from svgd_onnx.transforms.differentiate.gradients.sizes import reshaped_like, shape_of
from svgd_onnx.transforms.rule import (
    RefusedError,
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
    perm = integers(back.node, "perm", list(reversed(range(known_rank(back.x)))))
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
    axis %= known_rank(back.y, *parts, of="its output")
    sizes = [None if part.shape is None else part.shape[axis] for part in parts]
    if all(isinstance(size, int) for size in sizes):
        lengths = write.integers(*(int(size) for size in sizes if isinstance(size, int)))
    else:
        shapes = [write.node("Shape", part, start=axis, end=axis + 1) for part in parts]
        lengths = write.node("Concat", *shapes, axis=0)
    return write.nodes_with("Split", [back.dy, lengths], {"axis": axis}, len(parts))


def split(back: Backward) -> Gradients:
    write = back.write
    parts = [
        _zeros(back, output) if gradient is None else gradient
        for output, gradient in zip(back.node.outputs, back.gradients)
    ]
    if len(parts) == 1:
        return parts
    return [write.node("Concat", *parts, axis=integer(back.node, "axis", 0))]


def _zeros(back: Backward, value: ir.Value) -> ir.Value:
    if not value.name:  # an output of no name has no shape to be asked for
        value.name = f"{back.node.name}/output_{value.index()}"
    return back.write.node("ConstantOfShape", shape_of(back.write, value))


def slice_(back: Backward) -> Gradients:
    return back.training("SliceGrad", back.dy, shape_of(back.write, back.x), *back.node.inputs[1:])


def pad(back: Backward) -> Gradients:
    """Cuts off what was added, and adds zeros for what was cut off."""
    if text(back.node, "mode", "constant") != "constant":
        raise RefusedError("its mode is not constant")
    _, pads = inputs_of(back.node, 2)
    write = back.write
    opposite = write.node("Neg", pads)
    axes = input_of(back.node, 3)
    rest = [] if axes is None else [None, axes]
    return [write.node("Pad", back.dy, opposite, *rest)]


def gather(back: Backward) -> Gradients:
    x, indices = inputs_of(back.node, 2)
    axis = integer(back.node, "axis", 0)
    return back.training("GatherGrad", shape_of(back.write, x), indices, back.dy, axis=axis)


def gather_elements(back: Backward) -> Gradients:
    x, indices = inputs_of(back.node, 2)
    axis = integer(back.node, "axis", 0)
    return back.training("GatherElementsGrad", back.dy, shape_of(back.write, x), indices, axis=axis)


def top_k(back: Backward) -> Gradients:
    """To where the values were taken from, which the second output says."""
    indices = back.node.outputs[1]
    axis = integer(back.node, "axis", -1)
    return back.training(
        "GatherElementsGrad", back.dy, shape_of(back.write, back.x), indices, axis=axis
    )


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
    "Gather": gather,
    "GatherElements": gather_elements,
    "Pad": pad,
    "Reshape": reshape,
    "ReverseSequence": reverse_sequence,
    "Slice": slice_,
    "Split": split,
    "Squeeze": reshape,
    "Tile": tile,
    "TopK": top_k,
    "Transpose": transpose,
    "Trilu": trilu,
    "Unsqueeze": reshape,
}
