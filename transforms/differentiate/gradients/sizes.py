"""Shapes of values, as constants where they are fixed."""

from __future__ import annotations

from math import prod

import onnx_ir as ir

from svgd_onnx.transforms.rule import static_shape
from svgd_onnx.transforms.writer import Writer


def shape_of(write: Writer, value: ir.Value) -> ir.Value:
    """The shape of a value, (rank,) int64."""
    sizes = static_shape(value)
    return write.node("Shape", value) if sizes is None else write.integers(*sizes)


def sizes_of(write: Writer, value: ir.Value, start: int, end: int | None = None) -> ir.Value:
    """The sizes of some axes of a value, a vector of int64."""
    sizes = static_shape(value, start, end)
    if sizes:
        return write.integers(*sizes)
    bounds = {"start": start} if end is None else {"start": start, "end": end}
    return write.node("Shape", value, **bounds)


def reshaped_like(write: Writer, gradient: ir.Value, value: ir.Value) -> ir.Value:
    """The gradient in the shape of a value of as many elements."""
    dims = (
        None
        if value.shape is None
        else [dim if isinstance(dim, int) else -1 for dim in value.shape]
    )
    if dims is not None and dims.count(-1) <= 1 and 0 not in dims:
        return write.node("Reshape", gradient, write.integers(*dims))
    return write.node("Reshape", gradient, write.node("Shape", value), allowzero=1)


def product_of(write: Writer, value: ir.Value, start: int, end: int) -> ir.Value:
    """How many elements there are along some axes of a value, (1,) int64."""
    sizes = () if start == end else static_shape(value, start, end)
    if sizes is not None:
        return write.integers(prod(sizes))
    several = sizes_of(write, value, start, end)
    return several if end - start == 1 else write.reduce("ReduceProd", several, [0])
