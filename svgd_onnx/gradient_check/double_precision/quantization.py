"""Dequantization, of which the onnx package has references from opset 19 on, and what goes straight through."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx.reference.op_run import OpRun

from svgd_onnx.transforms.quantization import RANGES


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


class FakeQuantize(OpRun):
    """`ai.svgd::FakeQuantize`, and after its first run the function whose gradient is taken for its own.

    That is what it gave then, and to this is added what the input has changed by, where it is in range.
    """

    op_domain = "ai.svgd"
    _first: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def _run(
        self,
        x: np.ndarray,
        scale: np.ndarray,
        zero_point: np.ndarray | None = None,
        axis: int = 1,
        to: int = 0,
    ) -> tuple[np.ndarray]:
        if self._first is None:
            self._first = (x, *_quantized(x, scale, zero_point, axis, ir.DataType(to)))
        before, result, inside = self._first
        return (result + np.where(inside, x - before, 0),)


def _quantized(
    x: np.ndarray,
    scale: np.ndarray,
    zero_point: np.ndarray | None,
    axis: int,
    dtype: ir.DataType,
) -> tuple[np.ndarray, np.ndarray]:
    """What comes out, and where the range does not clip."""
    step = _spread(np.asarray(scale), x.shape, axis, 0)
    zero = np.zeros(()) if zero_point is None else _spread(zero_point, x.shape, axis, 0)
    least, most = RANGES[dtype]
    integers = np.rint(x / step) + zero.astype(np.float64)
    clipped = np.clip(integers, least, most)
    return (clipped - zero) * step, integers == clipped


class MatMulNBits(OpRun):
    """onnxruntime's operator: a product with a matrix (N, K) of few bits, the lowest bits of a byte first."""

    op_domain = "com.microsoft"

    def _run(
        self,
        a: np.ndarray,
        b: np.ndarray,
        scales: np.ndarray,
        zero_points: np.ndarray | None = None,
        g_idx: np.ndarray | None = None,
        bias: np.ndarray | None = None,
        **attributes: int,
    ) -> tuple[np.ndarray]:
        rows, columns, bits = attributes["K"], attributes["N"], attributes.get("bits", 4)
        if g_idx is not None:
            raise NotImplementedError("MatMulNBits with an order of groups")
        block = attributes["block_size"]
        blocks = -(-rows // block)
        integers = _unpacked(b.reshape(columns, -1), bits)[:, : blocks * block]
        zero = np.full((columns, blocks), 2.0 ** (bits - 1))
        if zero_points is not None and zero_points.dtype == np.uint8:
            zero = _unpacked(zero_points.reshape(columns, -1), bits)[:, :blocks]
        elif zero_points is not None:
            zero = zero_points.reshape(columns, blocks)
        centered = integers.reshape(columns, blocks, block) - zero[..., None]
        matrix = (centered * scales.reshape(columns, blocks, 1)).reshape(columns, -1)[:, :rows]
        product = a @ matrix.T
        return (product if bias is None else product + bias,)


def _unpacked(packed: np.ndarray, bits: int) -> np.ndarray:
    """The integers in the bytes of each row."""
    places = np.unpackbits(packed, axis=1, bitorder="little")
    whole = places[:, : places.shape[1] // bits * bits].reshape(len(packed), -1, bits)
    return whole @ (2.0 ** np.arange(bits))
