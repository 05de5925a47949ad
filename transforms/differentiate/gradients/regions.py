"""RoiAlign by its image: each mean of a region goes back to the pixels that it was read from."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule, Gradients
from svgd_onnx.transforms.differentiate.gradients.sizes import sizes_of
from svgd_onnx.transforms.rule import RefusedError, inputs_of, integer, number, text


def roi_align(back: Backward) -> Gradients:
    """dX = sum over regions of A^T dY B, with A and B what a region's bins read of rows and columns.

    All regions are one product, of (image's rows, bins of all its regions) and (these, columns): nothing
    is added to one place by chance first or last.
    """
    if text(back.node, "mode", "avg") != "avg":
        raise RefusedError(f"its mode is {text(back.node, 'mode', 'avg')}")
    write, node = back.write, back.write.node
    x, _, of_image = inputs_of(back.node, 3)
    rows = _read(back, 1, "output_height", 2)  # (R, bins, rows)
    columns = node("Unsqueeze", _read(back, 0, "output_width", 3), write.integers(1))
    wide = node("MatMul", back.dy, columns)  # (R, C, bins, columns)
    wide = node("Transpose", wide, perm=[1, 0, 2, 3])
    width = sizes_of(write, x, 3)
    joined = node("Concat", write.integers(0, -1), width, axis=0)
    wide = node("Reshape", wide, joined)
    images = node(
        "OneHot",
        of_image,
        sizes_of(write, x, 0, 1),
        write.constant(np.array([0, 1], np.float32)),
        axis=0,
    )  # (N, R)
    own = node("Mul", node("Unsqueeze", images, write.integers(2, 3)), rows)
    height = sizes_of(write, x, 2, 3)
    own = node("Reshape", own, node("Concat", write.integers(0, -1), height, axis=0))
    own = node("Unsqueeze", node("Transpose", own, perm=[0, 2, 1]), write.integers(1))
    return [node("MatMul", own, wide), None, None]


def _read(back: Backward, corner: int, bins_name: str, axis: int) -> ir.Value:
    """How much the bins of each region read of each pixel along an axis, (R, bins, pixels).

    Args:
        back: the node.
        corner: which number of a region it begins at; two further it ends.
        bins_name: the attribute that says how many bins there are.
        axis: of the image.
    """
    write, node = back.write, back.write.node
    regions = inputs_of(back.node, 2)[1]
    bins = integer(back.node, bins_name, 1)
    halves = text(back.node, "coordinate_transformation_mode", "half_pixel") == "half_pixel"
    offset = 0.5 if halves and write.opset >= 16 else 0.0
    scale = write.scalar(number(back.node, "spatial_scale", 1.0))
    scaled = node("Sub", node("Mul", regions, scale), write.scalar(offset))
    start, end = (
        node("Gather", scaled, write.integers(place), axis=1) for place in (corner, corner + 2)
    )
    length = node("Sub", end, start)
    if not offset:
        length = node("Max", length, write.scalar(1))
    width = node("Div", length, write.scalar(bins))  # (R, 1)
    ratio = integer(back.node, "sampling_ratio", 0)
    samples = write.scalar(ratio) if ratio else node("Ceil", width)
    most = (
        write.integer(ratio)
        if ratio
        else write.cast(node("ReduceMax", samples, keepdims=0), "int64")
    )
    sample = write.cast(node("Range", write.integer(0), most, write.integer(1)), "float32")
    within = node("Div", node("Add", sample, write.scalar(0.5)), samples)  # (R, samples)
    bin_ = write.constant(np.arange(bins, dtype=np.float32)[:, None])
    spread = write.integers(1)
    if ratio:
        place = node("Add", within, bin_)
    else:
        place = node("Add", node("Unsqueeze", within, spread), bin_)
    place = node("Mul", place, node("Unsqueeze", width, spread))
    place = node("Add", place, node("Unsqueeze", start, spread))  # (R, bins, samples)
    size = sizes_of(write, back.x, axis, axis + 1)
    pixels = write.cast(size, "float32")
    counted = node(
        "And",
        node("GreaterOrEqual", place, write.scalar(-1)),
        node("LessOrEqual", place, pixels),
    )
    if not ratio:
        used = node("Less", sample, samples)
        counted = node("And", counted, node("Unsqueeze", used, spread))
    last = node("Reshape", node("Sub", pixels, write.scalar(1)), write.integers())
    clipped = node("Unsqueeze", node("Clip", place, write.scalar(0), last), write.integers(3))
    count = node("Reshape", size, write.integers())
    positions = write.cast(node("Range", write.integer(0), count, write.integer(1)), "float32")
    far = node("Abs", node("Sub", clipped, positions))
    weights = node("Relu", node("Sub", write.scalar(1), far))
    share = node("Unsqueeze", write.cast(counted, "float32"), write.integers(3))
    total = write.reduce("ReduceSum", node("Mul", weights, share), [2], keepdims=False)
    return node(
        "Div",
        total,
        samples if ratio else node("Unsqueeze", node("Max", samples, write.scalar(1)), spread),
    )


REGIONS: dict[str, GradientRule] = {"RoiAlign": roi_align}
