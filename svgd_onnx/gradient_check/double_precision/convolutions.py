"""Conv and ConvTranspose; in the onnx package slow, and groups known only with a bias (1.19 to 1.23)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from onnx.reference.op_run import OpRun

from svgd_onnx.gradient_check.double_precision.window import Window, halves


class Conv(OpRun):
    """ONNX operator Conv; one matrix product for each example and group."""

    op_domain = ""

    def _run(
        self,
        x: np.ndarray,
        w: np.ndarray,
        b: np.ndarray | None = None,
        auto_pad: str = "NOTSET",
        dilations: Sequence[int] | None = None,
        group: int = 1,
        kernel_shape: Sequence[int] | None = None,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> tuple[np.ndarray]:
        window = Window(x.shape[2:], w.shape[2:], strides, dilations, pads, auto_pad)
        padded = window.pad(x, 0.0)
        filters = w.reshape(group, w.shape[0] // group, -1)
        y = np.empty((len(x), w.shape[0], *window.output), x.dtype)
        for example, result in zip(padded, y):
            columns = window.patches(example).reshape(group, filters.shape[2], -1)
            result[:] = (filters @ columns).reshape(result.shape)
        if b is not None:
            y += b.reshape(-1, *[1] * len(window.output))
        return (y,)


class ConvTranspose(OpRun):
    """ONNX operator ConvTranspose: Conv backwards, each input spread over its window."""

    op_domain = ""

    def _run(
        self,
        x: np.ndarray,
        w: np.ndarray,
        b: np.ndarray | None = None,
        auto_pad: str = "NOTSET",
        dilations: Sequence[int] | None = None,
        group: int = 1,
        kernel_shape: Sequence[int] | None = None,
        output_padding: Sequence[int] | None = None,
        output_shape: Sequence[int] | None = None,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> tuple[np.ndarray]:
        axes = range(x.ndim - 2)
        steps = list(strides or [1] * len(axes))
        spread = list(dilations or [1] * len(axes))
        extra = list(output_padding or [0] * len(axes))
        size, kernel = x.shape[2:], w.shape[2:]
        whole = [
            steps[i] * (size[i] - 1) + (kernel[i] - 1) * spread[i] + 1 + extra[i] for i in axes
        ]
        before = list(pads[: len(axes)]) if pads else [0] * len(axes)
        after = list(pads[len(axes) :]) if pads else [0] * len(axes)
        if output_shape or auto_pad.startswith("SAME"):
            wanted = list(output_shape or [size[i] * steps[i] for i in axes])
            total = [max(whole[i] - wanted[i], 0) for i in axes]
            before, after = halves(total, auto_pad)
        grouped = x.reshape(len(x), group, w.shape[0] // group, -1)
        filters = w.reshape(group, w.shape[0] // group, w.shape[1], -1)
        y = np.zeros((len(x), group * w.shape[1], *whole), x.dtype)
        for offsets in itertools.product(*map(range, kernel)):
            position = np.ravel_multi_index(offsets, kernel)
            part = np.swapaxes(filters[..., position], 1, 2) @ grouped
            ranges = tuple(
                slice(offset * wide, offset * wide + (count - 1) * step + 1, step)
                for offset, wide, count, step in zip(offsets, spread, size, steps)
            )
            place = (slice(None), slice(None), *ranges)
            y[place] += part.reshape(len(x), -1, *size)
        kept = (slice(None), slice(None), *(slice(before[i], whole[i] - after[i]) for i in axes))
        y = y[kept]
        return (y if b is None else y + b.reshape(-1, *[1] * len(axes)),)
