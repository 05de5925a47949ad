"""Indices in the data that kernels read memory by, in range before they do."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.rule import (
    constant_value,
    input_of,
    inputs_of,
    integer,
    number,
    static_shape,
)
from svgd_onnx.transforms.writer import Writer

_MOVED = frozenset({"Cast", "Reshape", "Squeeze", "Unsqueeze"})
# So many times the image's longer side, from its corner, boxes may reach.
REACH = 16
# No diagonal of a matrix is farther from the main one.
FAR = 1 << 31
# What they give is in range of what it was made of, whatever the data is.
_IN_RANGE = frozenset({"ArgMax", "ArgMin", "MaxPool", "NonZero", "Shape", "Size", "TopK"})


class CheckIndices(ir.passes.InPlacePass):
    """Ends a run at an index that is out of range, where onnxruntime's kernel does not look, or does not say.

    Most kernels do (Gather, GatherND, Scatter...), and raise an error. Recurrent layers look at the lengths of
    sequences, but what they are trained as does not. Others of onnxruntime-training 1.19.2 read, or divide,
    whatever they are given: SoftmaxCrossEntropyLoss and its gradient by labels, RoiAlign by the numbers of
    images, MaxUnpool by its indices; and a division of integers by 0 ends the process. RoiAlign takes as many
    samples of a box as it has pixels, on the image or not, and memory for each: a box may reach no farther than
    `REACH` times the image. Trilu adds sizes to the number of a diagonal, which is none then: it is brought
    as near as diagonals are. GatherElements does not say which index it was. A recurrent layer over no step at
    all ends the process. In front of those stands what raises an error, for every program that runs the graph.

    Only what is computed from data is looked at. The node that looks has in its name the places of the inputs
    that this is: `svgd_onnx.targets.index_at_fault` reads it in what a runtime says.

    Ensures: numbers are what they were, and no output changes its name.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        checked_nodes = [
            (node, *check)
            for node in all_nodes(model.graph)
            if node.domain == ""
            for check in CHECKS.get(node.op_type, ())
        ]
        for node, place, write_checked in checked_nodes:
            index = input_of(node, place)
            read = set() if index is None else _read_by(index)
            if write_checked is _divisor:
                read |= _read_by(inputs_of(node, 1)[0])
            if index is None or not read or _is_checked(index):
                continue
            assert isinstance(node.graph, ir.Graph)
            places = (str(at) for at, each in enumerate(model.graph.inputs) if each in read)
            name = node.outputs[0].name or node.op_type
            write = Writer(f"{name}/index_{place}", model.graph.opset_imports[""])
            checked = write_checked(node, write, f"of {','.join(places)}")
            if checked is None:
                continue
            checked.type, checked.shape = index.type, index.shape
            write.insert_before(node.graph, node)
            node.replace_input_with(place, checked)
            modified = True
        return ir.passes.PassResult(model, modified)


def _class(node: ir.Node, write: Writer, places: str) -> ir.Value:
    """Labels from 0 to below the size of axis 1, and those to be ignored."""
    logits, labels = inputs_of(node, 2)
    index = labels if labels.dtype == ir.DataType.INT64 else write.cast(labels, "int64")
    count = _size(logits, 1, write)
    if "ignore_index" not in node.attributes:
        checked = write.index_within(index, count, f"checked {places}")
    else:
        ignore_index = integer(node, "ignore_index", 0)
        ignored = write.node("Equal", index, write.integer(ignore_index))
        counted = write.node("Where", ignored, write.integer(0), index)
        within = write.index_within(counted, count, f"checked {places} except {ignore_index}")
        checked = write.node("Where", ignored, index, within)
    return checked if index is labels else write.node("Cast", checked, to=labels.dtype)


def _image(node: ir.Node, write: Writer, places: str) -> ir.Value:
    images, _, numbers = inputs_of(node, 3)
    return write.index_within(numbers, _size(images, 0, write), f"checked {places}")


def _boxes(node: ir.Node, write: Writer, places: str) -> ir.Value | None:
    """Boxes of which no corner is farther away than a few images, where each pixel is a sample."""
    images, boxes = inputs_of(node, 2)
    if integer(node, "sampling_ratio", 0):
        return None
    scale = number(node, "spatial_scale", 1.0)
    far = write.node("Ceil", write.node("Abs", write.node("Mul", boxes, write.scalar(scale))))
    larger = write.node("Max", _size(images, 2, write), _size(images, 3, write))
    count = write.node("Mul", larger, write.integers(REACH))
    far = write.index_within(write.cast(far, "int64"), count, f"reached {scale!r} {places}")
    return write.node("Add", boxes, write.node("Mul", write.cast(far, "float32"), write.scalar(0)))


def _element(node: ir.Node, write: Writer, places: str) -> ir.Value:
    """Places along an axis, from either end."""
    values, places_along = inputs_of(node, 2)
    index = places_along
    if index.dtype != ir.DataType.INT64:
        index = write.cast(index, "int64")
    count = _size(values, integer(node, "axis", 0), write)
    return write.index_within(index, count, f"counted {places}", from_end=True)


def _unpooled(node: ir.Node, write: Writer, places: str) -> ir.Value | None:
    """Places in all of the output, where its size is known."""
    values, index = inputs_of(node, 2)
    shape = input_of(node, 2)
    if shape is not None:
        count = write.node("ReduceProd", shape)
    else:
        image = static_shape(node.outputs[0], 2)
        if image is None:
            return None
        images = write.node("ReduceProd", write.node("Shape", values, start=0, end=2))
        count = write.node("Mul", images, write.integers(prod(image)))
    return write.index_within(index, count, f"checked {places}")


def _divisor(node: ir.Node, write: Writer, places: str) -> ir.Value | None:
    """Integers that are not 0, and not -1 under the least of all integers, whose quotient is none of them."""
    dividend, divisor = inputs_of(node, 2)
    constant = constant_value(divisor)
    if constant is not None and not np.isin(constant, (0, -1)).any():
        return None
    limits = {ir.DataType.INT32: ("int32", -(2**31)), ir.DataType.INT64: ("int64", -(2**63))}
    if divisor.dtype not in limits:
        return None
    kind, least = limits[divisor.dtype]

    def constant_of(value: int) -> ir.Value:
        return write.cast(write.integer(value), kind)

    too_large = write.node(
        "And",
        write.node("Equal", divisor, constant_of(-1)),
        write.node("Equal", dividend, constant_of(least)),
    )
    wrong = write.node("Or", write.node("Equal", divisor, constant_of(0)), too_large)
    nothing = write.index_within(
        write.cast(wrong, "int64"), write.integers(1), f"divisor {places}", from_end=True
    )
    return write.node("Add", divisor, write.cast(nothing, kind))


def _diagonal(node: ir.Node, write: Writer, _: str) -> ir.Value | None:
    """As far from the main diagonal as any is, where the kernel adds sizes to it without looking."""
    return write.node("Clip", inputs_of(node, 2)[1], write.integer(-FAR), write.integer(FAR))


def _steps(node: ir.Node, write: Writer, places: str) -> ir.Value | None:
    """A sequence that has a first step."""
    (sequence,) = inputs_of(node, 1)
    steps = static_shape(sequence, 0, 1)
    if steps is not None and steps[0] > 0:
        return None
    first = write.index_within(write.integer(0), _size(sequence, 0, write), f"steps {places}")
    return write.node("Add", sequence, write.cast(first, "float32"))


def _lengths(node: ir.Node, write: Writer, places: str) -> ir.Value:
    """Lengths of sequences, from 0 to that of the longest."""
    sequence, lengths = inputs_of(node, 1)[0], node.inputs[4]
    assert lengths is not None
    count = write.node("Add", _size(sequence, 0, write), write.integers(1))
    checked = write.index_within(write.cast(lengths, "int64"), count, f"checked {places}")
    return write.cast(checked, "int32")


def _size(value: ir.Value, axis: int, write: Writer) -> ir.Value:
    """The size of an axis, a vector of one number."""
    size = None if value.shape is None else value.shape[axis]
    if isinstance(size, int):
        return write.integers(size)
    if axis == -1:
        return write.node("Shape", value, start=-1)
    return write.node("Shape", value, start=axis, end=axis + 1)


def _read_by(value: ir.Value) -> set[ir.Value]:
    """The inputs, of the graph or of a body, whose numbers a value is computed from."""
    pending, seen = [value], {value}
    while pending:
        node = pending.pop().producer()
        if node is None or node.op_type in _IN_RANGE:
            continue
        for read in node.inputs:
            if read is not None and read not in seen:
                seen.add(read)
                pending.append(read)
    return {each for each in seen if each.is_graph_input()}


def _is_checked(value: ir.Value) -> bool:
    """Whether the loss looks at it already."""
    node = value.producer()
    while node is not None and node.op_type in _MOVED and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    return node is not None and "/checked of " in (node.name or "")


# By operator: the inputs that are looked at, and what writes each, given the places of those that it is of.
CHECKS: dict[str, tuple[tuple[int, Callable[[ir.Node, Writer, str], ir.Value | None]], ...]] = {
    "Div": ((1, _divisor),),
    "GRU": ((0, _steps), (4, _lengths)),
    "GatherElements": ((1, _element),),
    "LSTM": ((0, _steps), (4, _lengths)),
    "MaxUnpool": ((1, _unpooled),),
    "Mod": ((1, _divisor),),
    "NegativeLogLikelihoodLoss": ((1, _class),),
    "RNN": ((0, _steps), (4, _lengths)),
    "RoiAlign": ((1, _boxes), (2, _image)),
    "SoftmaxCrossEntropyLoss": ((1, _class),),
    "Trilu": ((1, _diagonal),),
}
