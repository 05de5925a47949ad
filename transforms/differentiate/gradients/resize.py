"""Resize, which is linear in its input and acts on each axis by itself: a matrix for each axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule, Gradients
from svgd_onnx.transforms.differentiate.gradients.sizes import sizes_of
from svgd_onnx.transforms.rule import (
    RefusedError,
    attributes_of,
    constant_value,
    input_of,
    known_rank,
    text,
)
from svgd_onnx.transforms.writer import Writer

_HALF_PIXEL = ("half_pixel", "half_pixel_symmetric")


def resize(back: Backward) -> Gradients:
    rounds = _rounds_ratio(back)
    times = None if rounds else _repeats(back)
    if times is not None:
        return [_sum_of_repeats(back, times)]
    gradient = back.dy
    rank = known_rank(back.x)
    for place, axis in enumerate(_axes(back)):
        if rounds or not _stays(back, place, axis):
            matrix = _matrix_among_all(back, axis) if rounds else _matrix(back, place, axis)
            gradient = _product(back.write, gradient, matrix, axis, rank)
    return [gradient]


def _axes(back: Backward) -> list[int]:
    """The axes that scales and sizes are of."""
    rank, axes = known_rank(back.x), back.node.attributes.get("axes")
    return [axis % rank for axis in (range(rank) if axes is None else axes.as_ints())]


def _coordinates(back: Backward) -> str:
    return text(back.node, "coordinate_transformation_mode", "half_pixel")


def _scales(back: Backward) -> ir.Value | None:
    """The scales, where these are given and not the sizes."""
    scales = input_of(back.node, 2)
    empty = scales is not None and scales.shape is not None and scales.shape[0] == 0
    return None if empty else scales


def _factor(back: Backward, place: int, axis: int) -> float | None:
    """By how much an axis grows, if that is known."""
    scales = _scales(back)
    if scales is not None:
        known = constant_value(scales)
        return None if known is None else float(known[place])
    sizes = [None if value.shape is None else value.shape[axis] for value in (back.x, back.y)]
    old, new = sizes
    return new / old if isinstance(old, int) and isinstance(new, int) and old else None


def _stays(back: Backward, place: int, axis: int) -> bool:
    return _factor(back, place, axis) == 1 and _coordinates(back) != "tf_crop_and_resize"


def _rounds_ratio(back: Backward) -> bool:
    """Whether sizes were adjusted, which only the scale that all axes then share says exactly."""
    policy = text(back.node, "keep_aspect_ratio_policy", "stretch")
    if policy == "stretch" or _scales(back) is not None:
        return False
    return len({_factor(back, place, axis) for place, axis in enumerate(_axes(back))}) > 1


def _repeats(back: Backward) -> list[int] | None:
    """How often each element of all axes is repeated, where the node does nothing else."""
    nearest = text(back.node, "nearest_mode", "round_prefer_floor")
    mode = _coordinates(back)
    plain = (mode == "asymmetric" and nearest == "floor") or (
        mode in _HALF_PIXEL and nearest.startswith("round")
    )
    if text(back.node, "mode", "nearest") != "nearest" or not plain:
        return None
    times = [1] * known_rank(back.x)
    for place, axis in enumerate(_axes(back)):
        factor = _factor(back, place, axis)
        if factor is None or factor < 1 or factor != int(factor):
            return None
        times[axis] = int(factor)
    return times


def _sum_of_repeats(back: Backward, times: Sequence[int]) -> ir.Value:
    """Each axis that grew as two, the second of which is summed over."""
    write = back.write
    sizes, repeated = [], []
    for axis, count in enumerate(times):
        sizes.append(sizes_of(write, back.x, axis, axis + 1))
        if count > 1:
            repeated.append(len(sizes))
            sizes.append(write.integers(count))
    if not repeated:
        return back.dy
    apart = write.node("Reshape", back.dy, write.node("Concat", *sizes, axis=0))
    return write.reduce("ReduceSum", apart, repeated, keepdims=False)


def _matrix(back: Backward, place: int, axis: int) -> ir.Value:
    """What the node does to an axis, (old, new): the rows of the identity resized, when it runs."""
    write = back.write
    attributes: dict[str, Any] = attributes_of(back.node)
    for name in ("axes", "extrapolation_value", "keep_aspect_ratio_policy"):
        attributes.pop(name, None)
    old = sizes_of(write, back.x, axis, axis + 1)
    shape = write.node("Concat", old, old, axis=0)
    zeros = write.node("ConstantOfShape", shape, value=ir.tensor(np.zeros(1, np.float32)))
    identity = write.node("Unsqueeze", write.node("EyeLike", zeros), write.integers(0, 1))
    region: ir.Value | None = None
    if _coordinates(back) == "tf_crop_and_resize":
        given = back.node.inputs[1]
        ends = write.integers(place, place + len(_axes(back)))
        start, end = write.nodes_with(
            "Split",
            [write.node("Gather", given, ends)],
            {"axis": 0, "num_outputs": 2} if write.opset >= 18 else {"axis": 0},
            2,
        )
        whole = [write.constant(np.full(3, edge, np.float32)) for edge in (0, 1)]
        region = write.node("Concat", whole[0], start, whole[1], end, axis=0)
    scales = _scales(back)
    if scales is not None:
        ones = write.constant(np.ones(3, np.float32))
        scale = write.node("Gather", scales, write.integers(place))
        resized = write.node(
            "Resize", identity, region, write.node("Concat", ones, scale, axis=0), **attributes
        )
    else:
        new = sizes_of(write, back.y, axis, axis + 1)
        sizes = write.node("Concat", write.integers(1, 1), old, new, axis=0)
        resized = write.node("Resize", identity, region, None, sizes, **attributes)
    return write.node("Squeeze", resized, write.integers(0, 1))


def _matrix_among_all(back: Backward, axis: int) -> ir.Value:
    """The same where other axes have a say in the scale: these are there too, and each counts once."""
    write, node, rank, axes = back.write, back.write.node, known_rank(back.x), _axes(back)
    if 0 in axes:
        raise RefusedError("its sizes are adjusted to each other, that of axis 0 too")
    old = sizes_of(write, back.x, axis, axis + 1)
    one = write.integers(1)
    squared = node("Concat", old, old, axis=0)
    identity = node(
        "EyeLike", node("ConstantOfShape", squared, value=ir.tensor(np.zeros(1, np.float32)))
    )
    others = [each for each in range(1, rank) if each != axis]
    apart = node("Unsqueeze", identity, write.integers(*others))
    sizes = [
        sizes_of(write, back.x, each, each + 1) if each in axes else one for each in range(rank)
    ]
    sizes[0] = old
    whole = node("Expand", apart, node("Concat", *sizes, axis=0))
    attributes = {**attributes_of(back.node), "axes": axes, "extrapolation_value": 0.0}
    resized = node("Resize", whole, *back.node.inputs[1:4], **attributes)
    zeros, ones = write.integers(*[0] * len(others)), write.integers(*[1] * len(others))
    first = node("Slice", resized, zeros, ones, write.integers(*others))
    return node("Squeeze", first, write.integers(*others))


def _product(write: Writer, value: ir.Value, matrix: ir.Value, axis: int, rank: int) -> ir.Value:
    """The matrix, (old, new), applied to an axis of size `new`."""
    if axis == rank - 2:
        return write.node("MatMul", matrix, value)
    turned = write.node("Transpose", matrix, perm=[1, 0])
    if axis == rank - 1:
        return write.node("MatMul", value, turned)
    order = [*(other for other in range(rank) if other != axis), axis]
    moved = write.node("MatMul", write.node("Transpose", value, perm=order), turned)
    return write.node("Transpose", moved, perm=[order.index(place) for place in range(rank)])


RESIZE: dict[str, GradientRule] = {"Resize": resize}
