"""AveragePool, as means of blocks or of shifted slices.

onnxruntime's AveragePoolGrad takes the shape of its result from the graph, where the batch axis has no
size, and so gives a gradient of the wrong shape (1.19.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.decompose.same_padding import same_padding
from svgd_onnx.transforms.rule import Rule, inputs_of, integer, integers, static_shape, text
from svgd_onnx.transforms.writer import Writer


@dataclass(frozen=True)
class _Window:
    """A pooling along one axis: its size, kernel, stride, dilation, padding, and output size."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    output: int

    @property
    def reach(self) -> int:
        """What the windows cover, which may end beyond the padding or before the end."""
        return (self.output - 1) * self.stride + (self.kernel - 1) * self.dilation + 1


def average_pool(node: ir.Node, write: Writer) -> ir.Value | None:
    (x,) = inputs_of(node, 1)
    known = static_shape(x, 1)
    if known is None:
        return None
    channels, *sizes = known
    windows = _windows(node, sizes)
    blocks = all(
        window.kernel == window.stride
        and window.dilation == 1
        and window.before == 0
        and window.reach <= window.size
        for window in windows
    )
    if blocks:
        return _mean_of_blocks(write, x, channels, windows)
    return _mean_of_slices(write, x, windows, bool(integer(node, "count_include_pad", 0)))


def _mean_of_blocks(
    write: Writer, x: ir.Value, channels: int, windows: Sequence[_Window]
) -> ir.Value:
    for axis, window in enumerate(windows, start=2):
        if window.reach < window.size:
            x = write.node(
                "Slice",
                x,
                write.integers(0),
                write.integers(window.reach),
                write.integers(axis),
            )
    split = [size for window in windows for size in (window.output, window.kernel)]
    parts = write.node("Reshape", x, write.integers(0, channels, *split))
    axes = [3 + 2 * index for index in range(len(windows))]
    return write.reduce("ReduceMean", parts, axes, keepdims=False)


def _mean_of_slices(
    write: Writer, x: ir.Value, windows: Sequence[_Window], include_padding: bool
) -> ir.Value:
    count = np.ones([1] * len(windows), np.float32)
    for axis, window in enumerate(windows):
        beyond = max(0, window.reach - window.size - window.before)
        pads = np.zeros((2, len(windows) + 2), np.int64)
        pads[:, axis + 2] = window.before, beyond
        if pads.any():
            x = write.node("Pad", x, write.constant(pads.reshape(-1)))
        x = _sum_of_slices(write, x, axis + 2, window)
        shape = [1] * len(windows)
        shape[axis] = window.output
        count = count * _count(window, beyond, include_padding).reshape(shape)
    return write.node("Mul", x, write.constant((1.0 / count).astype(np.float32)))


def _count(window: _Window, beyond: int, include_padding: bool) -> np.ndarray:
    """How many elements each window averages over; what lies beyond the padding never counts."""
    counts = np.zeros(window.before + window.size + beyond, np.float32)
    counts[window.before : window.before + window.size] = 1
    if include_padding:
        counts[: window.before + window.size + window.after] = 1
    starts = np.arange(window.output) * window.stride
    offsets = np.arange(window.kernel) * window.dilation
    result: np.ndarray = counts[starts[:, None] + offsets].sum(axis=1)
    return result


def _sum_of_slices(write: Writer, x: ir.Value, axis: int, window: _Window) -> ir.Value:
    total: ir.Value | None = None
    for place in range(window.kernel):
        start = place * window.dilation
        part = write.node(
            "Slice",
            x,
            write.integers(start),
            write.integers(start + (window.output - 1) * window.stride + 1),
            write.integers(axis),
            write.integers(window.stride),
        )
        total = part if total is None else write.node("Add", total, part)
    assert total is not None
    return total


def _windows(node: ir.Node, sizes: Sequence[int]) -> list[_Window]:
    kernels, strides, dilations = (
        integers(node, name, [1] * len(sizes)) for name in ("kernel_shape", "strides", "dilations")
    )
    pads = integers(node, "pads", [0] * (2 * len(sizes)))
    auto = text(node, "auto_pad", "NOTSET")
    up = bool(integer(node, "ceil_mode", 0))
    windows = []
    for axis, (size, kernel, stride, dilation) in enumerate(
        zip(sizes, kernels, strides, dilations)
    ):
        before, after = pads[axis], pads[axis + len(sizes)]
        span = (kernel - 1) * dilation + 1
        if auto.startswith("SAME"):
            output = math.ceil(size / stride)
            before, after = same_padding(auto, size, stride, span)
        else:
            steps = (size + before + after - span) / stride
            output = (math.ceil(steps) if up else math.floor(steps)) + 1
            # a window has to start inside the input or the padding before it
            if up and (output - 1) * stride >= size + before:
                output -= 1
        windows.append(_Window(size, kernel, stride, dilation, before, after, output))
    return windows


POOLING: dict[str, Rule] = {"AveragePool": average_pool}
