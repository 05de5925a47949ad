"""MaxPool and AveragePool; in the onnx package they take minutes for an image (1.19 to 1.23)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx.reference.op_run import OpRun

from svgd_onnx.gradient_check.double_precision.window import Window


class MaxPool(OpRun):
    """ONNX operator MaxPool, without its second output."""

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
    ) -> tuple[np.ndarray]:
        window = Window(
            x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, bool(ceil_mode)
        )
        padded = window.pad(x, -np.inf)
        y = np.full((*x.shape[:2], *window.output), -np.inf, x.dtype)
        for place in window.places(padded):
            np.maximum(y, place, out=y)
        return (y,)


class AveragePool(OpRun):
    """ONNX operator AveragePool."""

    op_domain = ""

    def _run(
        self,
        x: np.ndarray,
        auto_pad: str = "NOTSET",
        ceil_mode: int = 0,
        count_include_pad: int = 0,
        dilations: Sequence[int] | None = None,
        kernel_shape: Sequence[int] = (),
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> tuple[np.ndarray]:
        window = Window(
            x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, bool(ceil_mode)
        )
        total = np.sum(list(window.places(window.pad(x, 0.0))), axis=0)
        ones = np.ones((1, 1, *x.shape[2:]), x.dtype)
        counted = window.pad(ones, 1.0 if count_include_pad else 0.0, beyond=0.0)
        return (total / np.sum(list(window.places(counted)), axis=0),)


class GlobalLpPool(OpRun):
    """ONNX operator GlobalLpPool, of which the onnx package has no reference."""

    op_domain = ""

    def _run(self, x: np.ndarray, p: int = 2) -> tuple[np.ndarray]:
        axes = tuple(range(2, x.ndim))
        return ((np.abs(x) ** p).sum(axis=axes, keepdims=True) ** (1.0 / p),)
