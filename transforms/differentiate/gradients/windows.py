"""Pooling: the gradient of a window goes to all that lies in it, or to where its maximum was."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from math import prod

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.decompose.same_padding import same_sides
from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule, Gradients
from svgd_onnx.transforms.differentiate.gradients.sizes import reshaped_like, sizes_of
from svgd_onnx.transforms.lower.max_pool import put_back
from svgd_onnx.transforms.rule import (
    attributes_of,
    inputs_of,
    integer,
    integers,
    known_constant,
    known_rank,
    static_shape,
    text,
)


class _Windows:
    """The windows of a pooling over the spatial axes of its input.

    Attributes:
        kernel, strides, dilations: as in ONNX, for each axis.
        size: of the input, a vector.
        before, after: the padding, vectors.
    """

    def __init__(self, back: Backward) -> None:
        self._back = back
        node, write = back.node, back.write
        self.axes = list(range(2, known_rank(back.x)))
        ones = [1] * len(self.axes)
        self.kernel = integers(node, "kernel_shape", ones)
        self.strides = integers(node, "strides", ones)
        self.dilations = integers(node, "dilations", ones)
        self.size = sizes_of(write, back.x, 2)
        mode = text(node, "auto_pad", "NOTSET")
        if mode.startswith("SAME"):
            extents = [(size - 1) * step + 1 for size, step in zip(self.kernel, self.dilations)]
            self.before, self.after = same_sides(write, self.size, self.strides, extents, mode)
        else:
            pads = integers(node, "pads", [0] * 2 * len(self.axes))
            self.before = write.integers(*pads[: len(self.axes)])
            self.after = write.integers(*pads[len(self.axes) :])

    def spread(self, value: ir.Value) -> ir.Value:
        """A value of each window, added to all that lies in it; of the shape of the input."""
        write = self._back.write
        images = write.node(
            "Concat", write.integers(-1, 1), sizes_of(write, self._back.y, 2), axis=0
        )
        whole = write.node(
            "ConvTranspose",
            write.node("Reshape", value, images),
            write.constant(np.ones((1, 1, *self.kernel), np.float32)),
            strides=self.strides,
            dilations=self.dilations,
        )
        # The last window may end before the input does.
        beyond = write.integers(0, 0, *[0] * len(self.axes), 0, 0, *[s - 1 for s in self.strides])
        inside = write.node(
            "Slice",
            write.node("Pad", whole, beyond),
            self.before,
            write.node("Add", self.before, self.size),
            write.integers(*self.axes),
        )
        return reshaped_like(write, inside, self._back.x)

    def counts(self, *, padding: bool) -> ir.Value:
        """How many elements each window has, in a shape that goes with the output's.

        Args:
            padding: whether those of the padding count.
        """
        write = self._back.write
        low: ir.Value = (
            write.node("Neg", self.before) if padding else write.integers(*[0] * len(self.axes))
        )
        high = write.node("Add", self.size, self.after) if padding else self.size
        counts = []
        for place, axis in enumerate(self.axes):

            def of_axis(vector: ir.Value, place: int = place) -> ir.Value:
                return write.node("Gather", vector, write.integers(place))

            window = write.positions(sizes_of(write, self._back.y, axis, axis + 1))
            first = write.node(
                "Sub",
                write.node("Mul", window, write.integer(self.strides[place])),
                of_axis(self.before),
            )
            offsets = [offset * self.dilations[place] for offset in range(self.kernel[place])]
            places = write.node(
                "Add", write.node("Unsqueeze", first, write.integers(1)), write.integers(*offsets)
            )
            counted = write.node(
                "And",
                write.node("GreaterOrEqual", places, of_axis(low)),
                write.node("Less", places, of_axis(high)),
            )
            count = write.reduce("ReduceSum", write.cast(counted, "float32"), [1], keepdims=False)
            spread = [-1] + [1] * (len(self.axes) - 1 - place)
            counts.append(write.node("Reshape", count, write.integers(*spread)))
        total = counts[0]
        for count in counts[1:]:
            total = write.node("Mul", total, count)
        return total


def average_pool(back: Backward) -> Gradients:
    windows = _Windows(back)
    counts = windows.counts(padding=bool(integer(back.node, "count_include_pad", 0)))
    return [windows.spread(back.write.node("Div", back.dy, counts))]


def lp_pool(back: Backward) -> Gradients:
    return [_of_norm(back, _Windows(back).spread)]


def global_lp_pool(back: Backward) -> Gradients:
    return [_of_norm(back, lambda value: value)]


def _of_norm(back: Backward, spread: Callable[[ir.Value], ir.Value]) -> ir.Value:
    """For Y = (sum of |X|^p)^(1/p), dX = dY sign(X) |X|^(p-1) Y^(1-p), and 0 where Y is 0."""
    write, node = back.write, back.write.node
    p = integer(back.node, "p", 2)
    if p == 1:
        return node("Mul", node("Sign", back.x), spread(back.dy))
    none = node("Equal", back.y, write.scalar(0))
    norm = node("Where", none, write.scalar(1), back.y)
    if p == 2:
        return node("Mul", back.x, spread(node("Div", back.dy, norm)))
    share = spread(node("Mul", back.dy, node("Pow", norm, write.scalar(1 - p))))
    powers = node("Pow", node("Abs", back.x), write.scalar(p - 1))
    return node("Mul", node("Mul", node("Sign", back.x), powers), share)


def max_pool(back: Backward) -> Gradients:
    """From the places of the maxima, which the second output says."""
    attributes = attributes_of(back.node)
    places = back.named(1)
    if attributes.pop("storage_order", 0):
        # counted by columns: once more by rows
        places = back.write.nodes_with("MaxPool", [back.x], attributes, 2)[1]
    if static_shape(back.x, 2) is None:
        # onnxruntime's MaxPoolGrad reads the sizes of its result from the graph
        return [put_back(back.write, back.dy, places, back.node)]
    return back.write.nodes_with("MaxPoolGrad", [back.dy, places], attributes, 1)


def column_to_image(back: Backward) -> Gradients:
    """Col2Im adds up windows: each is read again from dY."""
    x, shape, block = inputs_of(back.node, 3)
    write = back.write
    sizes = known_constant(shape, "the sizes of its image are").tolist()
    kernel = known_constant(block, "the sizes of its blocks are").tolist()
    axes = list(range(2, len(sizes) + 2))
    strides = integers(back.node, "strides", [1] * len(axes))
    dilations = integers(back.node, "dilations", [1] * len(axes))
    pads = integers(back.node, "pads", [0] * 2 * len(axes))
    before, after = pads[: len(axes)], pads[len(axes) :]
    padded = write.node("Pad", back.dy, write.integers(0, 0, *before, 0, 0, *after))
    counts = [
        (size + first + last - (length - 1) * step - 1) // stride + 1
        for size, first, last, length, step, stride in zip(
            sizes, before, after, kernel, dilations, strides
        )
    ]
    columns = []
    for offsets in itertools.product(*map(range, kernel)):
        starts = [offset * step for offset, step in zip(offsets, dilations)]
        ends = [
            start + (count - 1) * stride + 1
            for start, count, stride in zip(starts, counts, strides)
        ]
        vectors = [write.integers(*numbers) for numbers in (starts, ends, axes, strides)]
        part = write.node("Slice", padded, *vectors)
        columns.append(write.node("Reshape", part, write.integers(0, 0, 1, prod(counts))))
    whole = columns[0] if len(columns) == 1 else write.node("Concat", *columns, axis=2)
    return [write.node("Reshape", whole, write.integers(0, -1, prod(counts)))]


WINDOWS: dict[str, GradientRule] = {
    "AveragePool": average_pool,
    "Col2Im": column_to_image,
    "GlobalLpPool": global_lp_pool,
    "LpPool": lp_pool,
    "MaxPool": max_pool,
}
