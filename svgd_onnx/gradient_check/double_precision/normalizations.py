"""Normalizations.

The onnx package's LRN normalizes as many channels as there are examples, its LpNormalization of p = 1
adds up values instead of magnitudes, and the function bodies of GroupNormalization and
MeanVarianceNormalization mix float32 into float64 (1.19 to 1.23).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from onnx.reference.op_run import OpRun


class LRN(OpRun):
    """ONNX operator LRN."""

    op_domain = ""

    def _run(
        self,
        x: np.ndarray,
        alpha: float = 1e-4,
        beta: float = 0.75,
        bias: float = 1.0,
        size: int = 1,
    ) -> tuple[np.ndarray]:
        before, after = (size - 1) // 2, size // 2
        channels = [(0, 0)] * x.ndim
        channels[1] = (before, after)
        squares = sliding_window_view(np.pad(x * x, channels), size, axis=1).sum(axis=-1)
        return (x / (bias + alpha / size * squares) ** beta,)


class LpNormalization(OpRun):
    """ONNX operator LpNormalization."""

    op_domain = ""

    def _run(self, x: np.ndarray, axis: int = -1, p: int = 2) -> tuple[np.ndarray]:
        norm = (np.abs(x) ** p).sum(axis=axis, keepdims=True) ** (1.0 / p)
        return (x / np.where(norm == 0, 1.0, norm),)


class GroupNormalization(OpRun):
    """ONNX operator GroupNormalization, since opset 21 with a scale for each channel."""

    op_domain = ""

    def _run(
        self,
        x: np.ndarray,
        scale: np.ndarray,
        bias: np.ndarray,
        epsilon: float = 1e-5,
        num_groups: int = 1,
        stash_type: int = 1,
    ) -> tuple[np.ndarray]:
        groups = x.reshape(len(x), num_groups, -1)
        groups = groups - groups.mean(axis=2, keepdims=True)
        variance = np.square(groups).mean(axis=2, keepdims=True)
        normal = (groups / np.sqrt(variance + epsilon)).reshape(x.shape)
        repeated = x.shape[1] // len(scale)
        columns = (-1, *[1] * (x.ndim - 2))
        weights = [np.repeat(weight, repeated).reshape(columns) for weight in (scale, bias)]
        return (normal * weights[0] + weights[1],)


class MeanVarianceNormalization(OpRun):
    """ONNX operator MeanVarianceNormalization."""

    op_domain = ""

    def _run(self, x: np.ndarray, axes: Sequence[int] = (0, 2, 3)) -> tuple[np.ndarray]:
        centered = x - x.mean(axis=tuple(axes), keepdims=True)
        deviation = np.sqrt(np.square(centered).mean(axis=tuple(axes), keepdims=True))
        return (centered / (deviation + 1e-9),)
