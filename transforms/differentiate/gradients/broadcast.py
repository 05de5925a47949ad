"""Sums over the axes along which an operand was repeated."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.lower.broadcast import repeated_axes
from svgd_onnx.transforms.writer import Writer


def sum_to(write: Writer, value: ir.Value, like: ir.Value, operand: ir.Value) -> ir.Value:
    """Sums a gradient over the axes that an operand was repeated along.

    Args:
        write: where it is written.
        value: the gradient, of the shape of `like`.
        like: the output of an operator that broadcasts.
        operand: one of its inputs.
    """
    axes = _axes(like, operand)
    if axes is None:
        shape = write.node("Shape", operand)
        axes_value = repeated_axes(write, shape, write.node("Shape", like))
        total = write.node("ReduceSum", value, axes_value, keepdims=1, noop_with_empty_axes=1)
        return write.node("Reshape", total, shape)
    leading, repeated = axes
    if not leading and not repeated:
        return value
    if not repeated:
        return write.reduce("ReduceSum", value, leading, keepdims=False)
    total = write.reduce("ReduceSum", value, [*leading, *repeated])
    return write.node("Squeeze", total, write.integers(*leading)) if leading else total


def _axes(like: ir.Value, operand: ir.Value) -> tuple[list[int], list[int]] | None:
    """The axes before the operand's own, and those of its own of size 1; None if they are not known."""
    if like.shape is None or operand.shape is None:
        return None
    missing = len(like.shape) - len(operand.shape)
    repeated = []
    for axis, size in enumerate(operand.shape):
        whole = like.shape[axis + missing]
        if size == 1 and whole != 1:
            repeated.append(axis + missing)
        elif not isinstance(size, int) and (size != whole or size.value is None):
            return None
    return list(range(missing)), repeated
