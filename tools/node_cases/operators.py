"""Operators that the onnx package's reference does not evaluate as gradients need them (1.23)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_one_hot import OneHot as _ReferenceOneHot
from onnx.reference.ops.op_pad import Pad_18
from onnx.reference.ops.op_resize import Resize as _ReferenceResize

from svgd_onnx.gradient_check.double_precision import resize, window


class MaxPool(OpRun):
    """ONNX operator MaxPool with its second output, the places of the maxima; fast."""

    op_domain = ""

    def _run(
        self,
        x: np.ndarray,
        auto_pad: str = "NOTSET",
        ceil_mode: int = 0,
        dilations: Sequence[int] | None = None,
        kernel_shape: Sequence[int] = (),
        pads: Sequence[int] | None = None,
        storage_order: int = 0,
        strides: Sequence[int] | None = None,
    ) -> tuple[np.ndarray, ...]:
        windows = window.Window(
            x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, bool(ceil_mode)
        )
        # counted over the whole tensor, within an image by rows or by columns
        spatial = x.shape[2:]
        within = np.arange(np.prod(spatial)).reshape(spatial, order="F" if storage_order else "C")
        images = np.arange(x.shape[0] * x.shape[1]).reshape(x.shape[0], x.shape[1])
        numbers = images.reshape(*x.shape[:2], *(1 for _ in spatial)) * within.size + within
        y = np.full((*x.shape[:2], *windows.output), -np.inf, x.dtype)
        places = np.zeros(y.shape, np.int64)
        pairs = zip(
            windows.places(windows.pad(x, -np.inf)), windows.places(windows.pad(numbers, 0))
        )
        for value, place in pairs:
            places = np.where(value > y, place, places)
            y = np.maximum(y, value)
        return (y, places) if len(self.onnx_node.output) > 1 else (y,)


class MaxUnpool(OpRun):
    """ONNX operator MaxUnpool; places are counted in the given shape, as in onnxruntime."""

    op_domain = ""

    def _run(
        self,
        x: np.ndarray,
        places: np.ndarray,
        shape: np.ndarray | None = None,
        kernel_shape: Sequence[int] = (),
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> tuple[np.ndarray]:
        if shape is None:
            count = len(kernel_shape)
            cut = np.reshape(pads or [0] * (2 * count), (2, count)).sum(axis=0)
            between = np.array(strides or [1] * count)
            inner = (np.array(x.shape[2:]) - 1) * between - cut + kernel_shape
            shape = np.array([*x.shape[:2], *inner])
        y = np.zeros(int(np.prod(shape)), x.dtype)
        y[places.ravel()] = x.ravel()
        return (y.reshape(shape),)


class OneHot(_ReferenceOneHot):
    """ONNX operator OneHot; the depth may have an axis."""

    op_domain = ""

    def _run(self, indices: np.ndarray, depth: np.ndarray, *others: Any, **attributes: Any) -> Any:
        return super()._run(indices, np.reshape(depth, ()), *others, **attributes)


class Pad(Pad_18):
    """ONNX operator Pad from opset 11 on; a negative padding cuts off."""

    op_domain = ""

    def _run(
        self,
        x: np.ndarray,
        pads: np.ndarray,
        value: np.ndarray | None = None,
        axes: np.ndarray | None = None,
        mode: str | None = None,
    ) -> Any:
        chosen = list(range(x.ndim)) if axes is None else [int(axis) for axis in axes]
        for axis, (before, after) in zip(chosen, np.reshape(pads, (2, -1)).T):
            cut = slice(max(-before, 0), x.shape[axis] - max(-after, 0))
            x = np.moveaxis(np.moveaxis(x, axis, 0)[cut], 0, axis)
        return super()._run(x, np.maximum(pads, 0), value, axes, mode or "constant")


class Resize(resize.Resize):
    """ONNX operator Resize; where it crops, the onnx package's own."""

    op_domain = ""

    def _run(self, x: np.ndarray, roi: Any = None, *others: Any, **attributes: Any) -> Any:
        if attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize":
            return _ReferenceResize._run(self, x, roi, *others, **attributes)
        return super()._run(x, roi, *others, **attributes)


OPERATORS = [MaxPool, MaxUnpool, OneHot, Pad, Resize]
