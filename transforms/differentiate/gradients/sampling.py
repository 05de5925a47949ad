"""GridSample, which interpolates between pixels at places of a grid, and AffineGrid, which makes such grids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule, Gradients
from svgd_onnx.transforms.differentiate.gradients.sizes import product_of, reshaped_like, sizes_of
from svgd_onnx.transforms.rule import fixed_size, inputs_of, integer, known_rank, text
from svgd_onnx.transforms.writer import Writer

_CUBIC = -0.75
# For each interpolation the pixels that it reads, counted from the one before the place, and their
# weights: a row of coefficients for each power of the distance t from that pixel.
_KERNELS: dict[str, tuple[list[int], np.ndarray]] = {
    "nearest": ([0], np.ones((1, 1))),
    "linear": ([0, 1], np.array([[1, 0], [-1, 1]])),
    "cubic": (
        [-1, 0, 1, 2],
        np.array(
            [
                [0, 1, 0, 0],
                [_CUBIC, 0, -_CUBIC, 0],
                [-2 * _CUBIC, -_CUBIC - 3, 2 * _CUBIC + 3, _CUBIC],
                [_CUBIC, _CUBIC + 2, -_CUBIC - 2, -_CUBIC],
            ]
        ),
    ),
}
_MODES = {"bilinear": "linear", "bicubic": "cubic"}


@dataclass(frozen=True)
class _Axis:
    """What is read along one axis at each of P places: (N, P, pixels).

    Attributes:
        pixels: which, int64; what lies outside is moved to the edge.
        weights: of these; 0 outside.
        slopes: by how much the weights grow with the grid's coordinate.
    """

    pixels: ir.Value
    weights: ir.Value
    slopes: ir.Value


def grid_sample(back: Backward) -> Gradients:
    """dX adds to each pixel what was read from it; dgrid is how what is read changes with the place."""
    x, grid = inputs_of(back.node, 2)
    write, node = back.write, back.write.node
    count = known_rank(x) - 2
    flat = write.integers(0, 0, -1)
    places = node("Reshape", grid, write.integers(0, -1, count))
    axes = [
        _axis(back, node("Gather", places, write.integer(count - 1 - axis), axis=2), axis + 2)
        for axis in range(count)
    ]

    def apart(value: ir.Value, axis: int) -> ir.Value:
        """(N, P, pixels) with a place for the pixels of the other axes."""
        shape = [0, 0, *[1] * count]
        shape[2 + axis] = -1
        return node("Reshape", value, write.integers(*shape))

    def product(factors: Sequence[ir.Value]) -> ir.Value:
        whole = apart(factors[0], 0)
        for axis, factor in enumerate(factors[1:], 1):
            whole = node("Mul", whole, apart(factor, axis))
        return node("Reshape", whole, flat)

    index: ir.Value | None = None
    for axis, each in enumerate(axes):
        step = node("Mul", each.pixels, product_of(write, x, axis + 3, count + 2))
        index = apart(step, axis) if index is None else node("Add", index, apart(step, axis))
    assert index is not None
    index = node("Unsqueeze", node("Reshape", index, write.integers(0, -1)), write.integers(1))
    pixels = node("Reshape", x, flat)
    dy = node("Unsqueeze", node("Reshape", back.dy, flat), write.integers(3))
    weights = node("Unsqueeze", product([each.weights for each in axes]), write.integers(1))
    parts = node("Mul", dy, weights)
    added = node("Reshape", parts, flat)
    index = node("Expand", index, node("Shape", added))

    def of_x() -> ir.Value:
        zeros = node("ConstantOfShape", node("Shape", pixels))
        total = node("ScatterElements", zeros, index, added, axis=2, reduction="add")
        return reshaped_like(write, total, x)

    def of_grid() -> ir.Value:
        read = node("Reshape", node("GatherElements", pixels, index, axis=2), node("Shape", parts))
        share = write.reduce("ReduceSum", node("Mul", read, dy), [1], keepdims=False)
        slopes = [
            product([other.slopes if other is each else other.weights for other in axes])
            for each in reversed(axes)
        ]
        sums = [write.reduce("ReduceSum", node("Mul", share, slope), [2]) for slope in slopes]
        return reshaped_like(write, node("Concat", *sums, axis=2), grid)

    return back.each(of_x, of_grid)


def _axis(back: Backward, coordinate: ir.Value, axis: int) -> _Axis:
    """What is read along an axis, from the grid's coordinate, (N, P)."""
    write, node = back.write, back.write.node
    mode = text(back.node, "mode", "linear")
    mode = _MODES.get(mode, mode)
    padding = text(back.node, "padding_mode", "zeros")
    corners = bool(integer(back.node, "align_corners", 0))
    size = write.cast(
        node("Reshape", sizes_of(write, back.x, axis, axis + 1), write.integers()), "float32"
    )
    last = node("Sub", size, write.scalar(1))
    # from -1..1 to pixels
    slope = node("Mul", last if corners else size, write.scalar(0.5))
    place = node("Mul", node("Add", coordinate, write.scalar(1)), slope)
    if not corners:
        place = node("Sub", place, write.scalar(0.5))
    if mode != "cubic" and padding != "zeros":
        if padding == "reflection":
            place, turned = _reflected(write, place, size, corners)
            slope = node("Mul", slope, turned)
        # at the edges too the place stays where it is, as in PyTorch
        inside = node("And", node("Greater", place, write.scalar(0)), node("Less", place, last))
        slope = node("Mul", slope, write.cast(inside, "float32"))
        slope = node("Unsqueeze", slope, write.integers(2))
        place = _clipped(write, place, last)
    offsets, kernel = _KERNELS[mode]
    first = node("Round" if mode == "nearest" else "Floor", place)
    powers = np.arange(len(kernel), dtype=np.float32)
    distance = node("Unsqueeze", node("Sub", place, first), write.integers(2))
    raised = node("Pow", distance, write.constant(powers))
    weights = node("MatMul", raised, write.constant(kernel.astype(np.float32)))
    steepness = np.zeros_like(kernel)
    steepness[:-1] = kernel[1:] * powers[1:, None]
    slopes = node("MatMul", raised, write.constant(steepness.astype(np.float32)))
    slopes = node("Mul", slopes, slope)
    pixels = node(
        "Add",
        node("Unsqueeze", first, write.integers(2)),
        write.constant(np.array(offsets, np.float32)),
    )
    if mode == "cubic" and padding == "reflection":
        pixels, _ = _reflected(write, pixels, size, corners)
    moved = _clipped(write, pixels, last)
    if padding == "zeros":
        inside = write.cast(node("Equal", moved, pixels), "float32")
        weights, slopes = node("Mul", weights, inside), node("Mul", slopes, inside)
    return _Axis(write.cast(moved, "int64"), weights, slopes)


def _clipped(write: Writer, place: ir.Value, last: ir.Value) -> ir.Value:
    return write.node("Clip", place, write.scalar(0), last)


def _reflected(
    write: Writer, place: ir.Value, size: ir.Value, corners: bool
) -> tuple[ir.Value, ir.Value]:
    """A place thrown back at the edges as often as it takes, and 1 or -1 for which way it then moves.

    The edges are the centres of the outer pixels, or their outer sides.
    """
    node = write.node
    low = write.scalar(0 if corners else -0.5)
    span = node("Sub", size, write.scalar(1)) if corners else size
    span = node("Max", span, write.scalar(1))  # a single pixel is all there is to read
    beyond = node("Sub", place, low)
    distance = node("Abs", beyond)
    times = node("Floor", node("Div", distance, span))
    rest = node("Sub", distance, node("Mul", times, span))
    odd = node("Equal", node("Mod", times, write.scalar(2), fmod=1), write.scalar(1))
    turned = node("Where", odd, node("Sub", span, rest), rest)
    way = node("Where", odd, write.scalar(-1), write.scalar(1))
    before = node("Less", beyond, write.scalar(0))
    way = node("Mul", way, node("Where", before, write.scalar(-1), write.scalar(1)))
    return node("Add", turned, low), way


def affine_grid(back: Backward) -> Gradients:
    """Linear in theta: dtheta = dY^T (x, y, 1), with x and y what the identity makes."""
    theta, size = inputs_of(back.node, 2)
    write, node = back.write, back.write.node
    count = fixed_size(theta, 1)
    one = node(
        "Concat",
        write.integers(1),
        node("Slice", size, write.integers(1), write.integers(count + 2)),
        axis=0,
    )
    identity = write.constant(np.eye(count, count + 1, dtype=np.float32)[None])
    corners = integer(back.node, "align_corners", 0)
    base = node("AffineGrid", identity, one, align_corners=corners)
    dy = node("Reshape", back.dy, write.integers(0, -1, count))
    turned = node("Transpose", dy, perm=[0, 2, 1])
    linear = node("MatMul", turned, node("Reshape", base, write.integers(-1, count)))
    shift = write.reduce("ReduceSum", turned, [2])
    return [node("Concat", linear, shift, axis=2), None]


SAMPLING: dict[str, GradientRule] = {"AffineGrid": affine_grid, "GridSample": grid_sample}
