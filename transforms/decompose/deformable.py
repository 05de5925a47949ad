"""DeformConv, as a product of the weights with what GridSample reads at the places that it deforms."""

from __future__ import annotations

import itertools
from math import prod

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.rule import (
    Rule,
    fixed_size,
    fixed_sizes,
    input_of,
    inputs_of,
    integer,
    integers,
)
from svgd_onnx.transforms.writer import Writer


def deformable_convolution(node: ir.Node, write: Writer) -> ir.Value:
    x, weight, offset = inputs_of(node, 3)
    channels, (filters, _, *kernel) = fixed_size(x, 1), fixed_sizes(weight, of="its weight")
    size = prod(kernel)
    group, groups = integer(node, "group", 1), integer(node, "offset_group", 1)
    places = write.node("Shape", offset, start=2)
    image = write.node("Shape", x, start=2)
    images = write.node("Reshape", x, _shape(write, [-1, channels // groups], image))
    read = write.node(
        "GridSample",
        images,
        _grid(node, write, offset, places, image, kernel),
        mode="linear" if write.opset >= 20 else "bilinear",
    )  # (N groups, C / groups, kernel O_1, O_2, ...)
    mask = input_of(node, 4)
    if mask is not None:
        apart = write.node("Reshape", mask, _shape(write, [-1, 1, size], places))
        inner = write.node("Slice", places, write.integers(1), write.integers(len(kernel)))
        flat = _shape(write, [0, 0, -1], inner) if len(kernel) > 1 else write.integers(0, 0, -1)
        read = write.node("Mul", read, write.node("Reshape", apart, flat))
    count = write.reduce("ReduceProd", places, [0])
    columns = write.node(
        "Reshape", read, _shape(write, [-1, group, channels // group * size], count)
    )
    rows = write.node(
        "Reshape", weight, write.integers(group, filters // group, channels // group * size)
    )
    y = write.node(
        "Reshape", write.node("MatMul", rows, columns), _shape(write, [-1, filters], places)
    )
    bias = input_of(node, 3)
    if bias is None:
        return y
    return write.node(
        "Add", y, write.node("Unsqueeze", bias, write.integers(*range(1, len(kernel) + 1)))
    )


def _shape(write: Writer, sizes: list[int], rest: ir.Value) -> ir.Value:
    return write.node("Concat", write.integers(*sizes), rest, axis=0)


def _grid(
    node: ir.Node,
    write: Writer,
    offset: ir.Value,
    places: ir.Value,
    image: ir.Value,
    kernel: list[int],
) -> ir.Value:
    """Where each element of the kernel reads at each place of the output, from -1 to 1 over the image."""
    dims = len(kernel)
    ones = [1] * dims
    strides = integers(node, "strides", ones)
    dilations = integers(node, "dilations", ones)
    pads = integers(node, "pads", [0] * 2 * dims)[:dims]
    offsets = write.node("Reshape", offset, _shape(write, [-1, prod(kernel), dims], places))
    elements = np.array(list(itertools.product(*map(range, kernel))))
    within = (elements * dilations - pads).astype(np.float32).reshape(-1, dims, *ones)
    starts = []
    for axis, stride in enumerate(strides):
        start = write.positions(write.node("Gather", places, write.integer(axis)))
        start = write.cast(write.node("Mul", start, write.integer(stride)), "float32")
        shape = [1] * (dims + 1)
        shape[axis + 1] = -1
        start = write.node("Reshape", start, write.integers(*shape))
        starts.append(write.node("Expand", start, _shape(write, [1], places)))
    start = starts[0] if dims == 1 else write.node("Concat", *starts, axis=0)
    place = write.node("Add", write.node("Add", offsets, write.constant(within)), start)
    extent = write.node("Reshape", write.cast(image, "float32"), write.integers(dims, *ones))
    middle = write.node("Add", write.node("Mul", place, write.scalar(2)), write.scalar(1))
    even = write.node("Sub", write.node("Div", middle, extent), write.scalar(1))
    # (N groups, kernel, axes, O_1, ...) with the axes last, x before y
    turned = write.node("Transpose", even, perm=[0, 1, *range(3, dims + 3), 2])
    reversed_ = write.node("Gather", turned, write.integers(*reversed(range(dims))), axis=-1)
    parts = [write.integers(0, -1)]
    if dims > 1:
        parts.append(write.node("Slice", places, write.integers(1), write.integers(dims)))
    whole = write.node("Concat", *parts, write.integers(dims), axis=0)
    return write.node("Reshape", reversed_, whole)


DEFORMABLE: dict[str, Rule] = {"DeformConv": deformable_convolution}
