"""Dequantization; the onnx package's reference begins at opset 19."""

from __future__ import annotations

import numpy as np
from onnx.reference.op_run import OpRun


class DequantizeLinear(OpRun):
    """ONNX operator DequantizeLinear, per tensor, per axis and in blocks."""

    op_domain = ""

    def _run(
        self,
        x: np.ndarray,
        scale: np.ndarray,
        zero_point: np.ndarray | None = None,
        axis: int = 1,
        block_size: int = 0,
        output_dtype: int | None = None,
    ) -> tuple[np.ndarray]:
        real = x.astype(np.float64)
        if zero_point is not None:
            real = real - _spread(zero_point, x.shape, axis, block_size).astype(np.float64)
        scale = np.asarray(scale)
        scaled = real * _spread(scale, x.shape, axis, block_size).astype(np.float64)
        return (np.asarray(scaled, np.float64 if scale.dtype == np.float64 else scale.dtype),)


def _spread(numbers: np.ndarray, shape: tuple[int, ...], axis: int, block: int) -> np.ndarray:
    """In a shape that broadcasts to `shape`."""
    if numbers.size == 1:
        return numbers.reshape(())
    axis %= len(shape)
    if block:
        return np.repeat(numbers, block, axis)[tuple(slice(size) for size in shape)]
    return numbers.reshape([-1 if place == axis else 1 for place in range(len(shape))])
