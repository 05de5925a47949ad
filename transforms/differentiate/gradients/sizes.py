"""Shapes of values, as constants where they are fixed."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.rule import static_shape
from svgd_onnx.transforms.writer import Writer


def shape_of(write: Writer, value: ir.Value) -> ir.Value:
    """The shape of a value, (rank,) int64."""
    sizes = static_shape(value)
    return write.node("Shape", value) if sizes is None else write.integers(*sizes)


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
