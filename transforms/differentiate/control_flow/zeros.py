"""Zeros, where nothing comes back."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.writer import Writer


def zeros(write: Writer, shape: ir.Value, like: ir.Value) -> ir.Value:
    """Zeros of a shape, (rank,) int64, and of a value's type."""
    dtype = like.dtype or ir.DataType.FLOAT
    value = ir.tensor(np.zeros(1, dtype.numpy()), dtype)
    result = write.node("ConstantOfShape", shape, value=value)
    result.type = like.type
    return result


def zeros_like(write: Writer, value: ir.Value) -> ir.Value:
    """Zeros of a value's shape and type."""
    result = zeros(write, write.node("Shape", value), value)
    result.shape = value.shape
    return result
