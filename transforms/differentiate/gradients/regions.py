"""RoiAlign by its image: each mean, or maximum, of a bin goes back to the pixels that it was read from."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule, Gradients
from svgd_onnx.transforms.differentiate.gradients.sizes import sizes_of
from svgd_onnx.transforms.rule import inputs_of, integer, number, text


def roi_align(back: Backward) -> Gradients:
    """dX = sum over regions of A^T dY B, with A and B what a region's bins read of rows and columns.

    All regions are one product, of (image's rows, bins of all its regions) and (these, columns): nothing
    is added to one place by chance first or last.
    """
    if text(back.node, "mode", "avg") == "max":
        return [_of_maxima(back), None, None]
    write, node = back.write, back.write.node
    x = back.x
    rows = _read(back, 1, "output_height", 2)  # (R, bins, rows)
    columns = node("Unsqueeze", _read(back, 0, "output_width", 3), write.integers(1))
    wide = node("MatMul", back.dy, columns)  # (R, C, bins, columns)
    wide = node("Transpose", wide, perm=[1, 0, 2, 3])
    width = sizes_of(write, x, 3)
    joined = node("Concat", write.integers(0, -1), width, axis=0)
    wide = node("Reshape", wide, joined)
    own = node("Mul", node("Unsqueeze", _images(back), write.integers(2, 3)), rows)
    height = sizes_of(write, x, 2, 3)
    own = node("Reshape", own, node("Concat", write.integers(0, -1), height, axis=0))
    own = node("Unsqueeze", node("Transpose", own, perm=[0, 2, 1]), write.integers(1))
    return [node("MatMul", own, wide), None, None]


def _images(back: Backward) -> ir.Value:
    """Whether a region is of an image, (N, R)."""
    write, of_image = back.write, inputs_of(back.node, 3)[2]
    values = write.constant(np.array([0, 1], np.float32))
    return write.node("OneHot", of_image, sizes_of(write, back.x, 0, 1), values, axis=0)


def _of_maxima(back: Backward) -> ir.Value:
    """To the one pixel that a bin's maximum was read from, by its weight: the first if there are several.

    Of each sample there are four pixels, each times its weight; the largest of all is the bin's.
    """
    write, node = back.write, back.write.node
    (row, row_weight, row_used), (column, column_weight, column_used) = (
        [node("Unsqueeze", each, axes) for each in _corners(back, corner, name, axis)]
        for corner, name, axis, axes in (
            (1, "output_height", 2, write.integers(2, 4, 6)),
            (0, "output_width", 3, write.integers(1, 3, 5)),
        )
    )
    bins = integer(back.node, "output_height", 1) * integer(back.node, "output_width", 1)

    def flat(value: ir.Value) -> ir.Value:  # (R, 1, bins, samples and corners)
        return node("Reshape", value, write.integers(0, 1, bins, -1))

    place = flat(node("Add", node("Mul", row, sizes_of(write, back.x, 3, 4)), column))
    weight = flat(node("Mul", row_weight, column_weight))
    used = flat(node("And", row_used, column_used))
    pixels = node("Reshape", back.x, write.integers(0, 0, -1))
    pixels = node("Gather", pixels, inputs_of(back.node, 3)[2])  # (R, C, rows and columns)
    channels = sizes_of(write, back.x, 1, 2)
    everywhere = node("Concat", write.integers(1), channels, write.integers(1, 1), axis=0)
    place, weight = node("Expand", place, everywhere), node("Expand", weight, everywhere)
    read = node("GatherElements", pixels, node("Reshape", place, write.integers(0, 0, -1)), axis=2)
    read = node("Mul", node("Reshape", read, node("Shape", weight)), weight)
    read = node("Where", used, read, write.scalar(-np.inf))
    best = node("ArgMax", read, axis=3)

    def at_best(value: ir.Value) -> ir.Value:  # (R, C, bins)
        return node("Squeeze", node("GatherElements", value, best, axis=3), write.integers(3))

    share = node("Mul", node("Reshape", back.dy, write.integers(0, 0, -1)), at_best(weight))
    zeros = node("ConstantOfShape", node("Shape", pixels))
    regions = node("ScatterElements", zeros, at_best(place), share, axis=2, reduction="add")
    total = node("MatMul", _images(back), node("Reshape", regions, write.integers(0, -1)))
    return node("Reshape", total, node("Shape", back.x))


def _corners(back: Backward, corner: int, bins_name: str, axis: int) -> tuple[ir.Value, ...]:
    """The two pixels along an axis that a sample lies between, their weights, and whether it is used.

    (R, bins, samples, 2) each. A sample outside has weights of 0.
    """
    write, node = back.write, back.write.node
    places, used, _ = _places(back, corner, integer(back.node, bins_name, 1))
    inside, moved, last = _inside(back, places, axis)
    low = node("Floor", moved)
    far = node("Sub", moved, low)
    axes = write.integers(3)
    pixels = [node("Unsqueeze", value, axes) for value in
              (low, node("Min", node("Add", low, write.scalar(1)), last))]  # fmt: skip
    counted = write.cast(inside, "float32")
    weights = [node("Unsqueeze", node("Mul", value, counted), axes) for value in
               (node("Sub", write.scalar(1), far), far)]  # fmt: skip
    # of each place, that it is used may be known by the number of the sample alone
    used = node("Unsqueeze", node("And", used, node("Equal", places, places)), axes)
    return (
        write.cast(node("Concat", *pixels, axis=3), "int64"),
        node("Concat", *weights, axis=3),
        node("Concat", used, used, axis=3),
    )


def _inside(back: Backward, places: ir.Value, axis: int) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Which places are inside an axis of the image, each moved inside, and the axis' last place."""
    write, node = back.write, back.write.node
    count = node("Reshape", sizes_of(write, back.x, axis, axis + 1), write.integers())
    # a place up to a pixel outside reads what is at the edge
    pixels = write.cast(count, "float32")
    inside = node(
        "And",
        node("GreaterOrEqual", places, write.scalar(-1)),
        node("LessOrEqual", places, pixels),
    )
    last = node("Sub", pixels, write.scalar(1))
    return inside, node("Clip", places, write.scalar(0), last), last


def _read(back: Backward, corner: int, bins_name: str, axis: int) -> ir.Value:
    """How much the bins of each region read of each pixel along an axis, (R, bins, pixels).

    Args:
        back: the node.
        corner: which number of a region it begins at; two further it ends.
        bins_name: the attribute that says how many bins there are.
        axis: of the image.
    """
    write, node = back.write, back.write.node
    places, used, samples = _places(back, corner, integer(back.node, bins_name, 1))
    size = sizes_of(write, back.x, axis, axis + 1)
    count = node("Reshape", size, write.integers())
    positions = write.cast(node("Range", write.integer(0), count, write.integer(1)), "float32")
    inside, moved, _ = _inside(back, places, axis)
    far = node("Abs", node("Sub", node("Unsqueeze", moved, write.integers(3)), positions))
    weights = node("Relu", node("Sub", write.scalar(1), far))
    counted = write.cast(node("And", inside, used), "float32")
    share = node("Div", counted, node("Max", samples, write.scalar(1)))
    weighted = node("Mul", weights, node("Unsqueeze", share, write.integers(3)))
    return write.reduce("ReduceSum", weighted, [2], keepdims=False)


def _places(back: Backward, corner: int, bins: int) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Where the samples of each bin lie along an axis, (R, bins, samples); which are used; their number.

    If the node does not say how many there are, each bin has as many as pixels that it is wide, and
    those with fewer than others leave some out.
    """
    write, node = back.write, back.write.node
    regions = inputs_of(back.node, 2)[1]
    halves = text(back.node, "coordinate_transformation_mode", "half_pixel") == "half_pixel"
    offset = 0.5 if halves and write.opset >= 16 else 0.0
    scale = write.scalar(number(back.node, "spatial_scale", 1.0))
    scaled = node("Sub", node("Mul", regions, scale), write.scalar(offset))
    start, end = (
        node("Unsqueeze", node("Gather", scaled, write.integers(place), axis=1), write.integers(2))
        for place in (corner, corner + 2)
    )
    length = node("Sub", end, start)
    if not offset:
        length = node("Max", length, write.scalar(1))
    width = node("Div", length, write.scalar(bins))  # (R, 1, 1)
    ratio = integer(back.node, "sampling_ratio", 0)
    samples = (
        write.constant(np.full((1, 1, 1), ratio, np.float32)) if ratio else node("Ceil", width)
    )
    most = write.cast(node("ReduceMax", samples, keepdims=0), "int64")
    sample = write.cast(node("Range", write.integer(0), most, write.integer(1)), "float32")
    within = node("Div", node("Add", sample, write.scalar(0.5)), samples)
    bin_ = write.constant(np.arange(bins, dtype=np.float32)[:, None])
    places = node("Add", node("Mul", node("Add", within, bin_), width), start)
    return places, node("Less", sample, samples), samples


REGIONS: dict[str, GradientRule] = {"RoiAlign": roi_align}
