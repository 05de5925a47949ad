"""The padding that auto_pad SAME_UPPER and SAME_LOWER stand for: it follows from the size of the input."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import onnx_ir as ir

from svgd_onnx.transforms.writer import Writer


def same_padding(mode: str, size: int, stride: int, extent: int) -> tuple[int, int]:
    """The padding before and after an axis, for an output of its size over the stride, rounded up.

    Args:
        mode: auto_pad.
        size: of the axis.
        stride: of the windows.
        extent: from the first element of a window to its last, both counted.
    """
    return split_padding(mode, max((ceil(size / stride) - 1) * stride + extent - size, 0))


def split_padding(mode: str, total: int) -> tuple[int, int]:
    """The padding before and after an axis; if it is odd, mode SAME_UPPER has more of it after."""
    smaller, larger = total // 2, total - total // 2
    return (smaller, larger) if mode == "SAME_UPPER" else (larger, smaller)


def same_sides(
    write: Writer, size: ir.Value, strides: Sequence[int], extents: Sequence[int], mode: str
) -> tuple[ir.Value, ir.Value]:
    """The padding before and after all axes, vectors, from a vector of their sizes."""
    stride, one, two = write.integers(*strides), write.integers(1), write.integers(2)
    steps = write.node(
        "Div", write.node("Sub", size, one), stride
    )  # one less than the output's size
    reach = write.node("Add", write.node("Mul", steps, stride), write.integers(*extents))
    total = write.node("Max", write.node("Sub", reach, size), write.integers(0))
    smaller = write.node("Div", total, two)
    larger = write.node("Sub", total, smaller)
    return (smaller, larger) if mode == "SAME_UPPER" else (larger, smaller)


def pad_to_same(
    write: Writer, x: ir.Value, strides: Sequence[int], extents: Sequence[int], mode: str
) -> ir.Value:
    """x with the padding that its size asks for when it is known."""
    size = write.node("Shape", x, start=2)
    before, after = same_sides(write, size, strides, extents, mode)
    none = write.integers(0, 0)
    return write.node("Pad", x, write.node("Concat", none, before, none, after, axis=0))
