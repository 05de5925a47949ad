"""Pooling.

In the onnx package MaxPool and AveragePool take minutes for an image, GlobalMaxPool gives an axis too many
where there are three to pool, LpPool divides where it rounds up, and there is no GlobalLpPool (1.19 to 1.23).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from onnx.reference.op_run import OpRun

from svgd_onnx.gradient_check.double_precision.window import Window


class MaxPool(OpRun):
    """ONNX operator MaxPool."""

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
        window = Window(
            x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, bool(ceil_mode)
        )
        images = np.arange(x.shape[0] * x.shape[1]).reshape(*x.shape[:2], *[1] * (x.ndim - 2))
        inside = np.arange(prod(x.shape[2:])).reshape(
            x.shape[2:], order="F" if storage_order else "C"
        )
        places = window.pad(images * inside.size + inside, 0)
        y = np.full((*x.shape[:2], *window.output), -np.inf, x.dtype)
        taken = np.zeros(y.shape, np.int64)
        for part, place in zip(window.places(window.pad(x, -np.inf)), window.places(places)):
            larger = part > y
            y[larger], taken[larger] = part[larger], place[larger]
        return (y, taken) if len(self.onnx_node.output) > 1 else (y,)


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


class GlobalMaxPool(OpRun):
    """ONNX operator GlobalMaxPool."""

    op_domain = ""

    def _run(self, x: np.ndarray) -> tuple[np.ndarray]:
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


class LpPool(OpRun):
    """ONNX operator LpPool."""

    op_domain = ""

    def _run(
        self,
        x: np.ndarray,
        auto_pad: str = "NOTSET",
        ceil_mode: int = 0,
        dilations: Sequence[int] | None = None,
        kernel_shape: Sequence[int] = (),
        p: int = 2,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> tuple[np.ndarray]:
        window = Window(
            x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, bool(ceil_mode)
        )
        powers = window.pad(np.abs(x) ** p, 0.0)
        return (np.sum(list(window.places(powers)), axis=0) ** (1.0 / p),)


class GlobalLpPool(OpRun):
    """ONNX operator GlobalLpPool."""

    op_domain = ""

    def _run(self, x: np.ndarray, p: int = 2) -> tuple[np.ndarray]:
        total = (np.abs(x) ** p).sum(axis=tuple(range(2, x.ndim)), keepdims=True)
        return (total ** (1.0 / p),)
