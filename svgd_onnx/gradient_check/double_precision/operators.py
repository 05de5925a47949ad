"""Operators whose reference in the onnx package is slow, or wrong, in NumPy.

In the versions 1.19 to 1.23 its Conv and MaxPool take minutes for one image of a classic network and
its Resize goes output by output; its LRN normalizes as many channels as there are examples, its Erf
computes in float32, its LpNormalization of p = 1 adds up values instead of magnitudes, its
ConvTranspose knows groups only with a bias, and the function bodies of GroupNormalization and
MeanVarianceNormalization mix float32 into float64.

None of it is shared with the transforms, not even the padding that auto_pad stands for: what the two
agree on is right.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from math import ceil, erf, prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_resize import Resize as _ReferenceResize

from svgd_onnx.gradient_check.double_precision.recurrent import RECURRENT


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
        window = _Window(x.shape[2:], w.shape[2:], strides, dilations, pads, auto_pad)
        padded = window.pad(x, 0.0)
        filters = w.reshape(group, w.shape[0] // group, -1)
        y = np.empty((len(x), w.shape[0], *window.output), x.dtype)
        for example, result in zip(padded, y):
            columns = window.patches(example).reshape(group, filters.shape[2], -1)
            result[:] = (filters @ columns).reshape(result.shape)
        if b is not None:
            y += b.reshape(-1, *[1] * len(window.output))
        return (y,)


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
        window = _Window(
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
        window = _Window(
            x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, bool(ceil_mode)
        )
        total = np.sum(list(window.places(window.pad(x, 0.0))), axis=0)
        ones = np.ones((1, 1, *x.shape[2:]), x.dtype)
        counted = window.pad(ones, 1.0 if count_include_pad else 0.0, beyond=0.0)
        return (total / np.sum(list(window.places(counted)), axis=0),)


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


class Erf(OpRun):
    """ONNX operator Erf."""

    op_domain = ""

    def _run(self, x: np.ndarray) -> tuple[np.ndarray]:
        return (_erf(x),)


class Gelu(OpRun):
    """ONNX operator Gelu."""

    op_domain = ""

    def _run(self, x: np.ndarray, approximate: str = "none") -> tuple[np.ndarray]:
        if approximate == "tanh":
            return (0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),)
        return (0.5 * x * (1 + _erf(x / np.sqrt(2))),)


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
            smaller, larger = [t // 2 for t in total], [t - t // 2 for t in total]
            before, after = (smaller, larger) if auto_pad == "SAME_UPPER" else (larger, smaller)
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


class Resize(_ReferenceResize):
    """ONNX operator Resize: the onnx package's own, axis by axis, as the matrix that it is."""

    op_domain = ""

    def _run(  # type: ignore[override]
        self,
        x: np.ndarray,
        roi: np.ndarray | None = None,
        scales: np.ndarray | None = None,
        sizes: np.ndarray | None = None,
        **attributes: Any,
    ) -> tuple[np.ndarray]:
        if attributes.get("axes") or attributes.get("keep_aspect_ratio_policy") not in (
            None,
            "stretch",
        ):
            result: tuple[np.ndarray] = super()._run(x, roi, scales, sizes, **attributes)
            return result
        for axis, size in enumerate(x.shape):
            scale = None if scales is None or not len(scales) else scales[axis : axis + 1]
            wanted = None if scale is not None or sizes is None else sizes[axis : axis + 1]
            if (scale is not None and scale[0] == 1) or (wanted is not None and wanted[0] == size):
                continue
            matrix = self._matrix(size, scale, wanted, attributes)
            x = np.moveaxis(np.tensordot(matrix, x, axes=([0], [axis])), 0, axis)
        return (x,)

    def _matrix(
        self,
        size: int,
        scale: np.ndarray | None,
        wanted: np.ndarray | None,
        attributes: dict[str, Any],
    ) -> np.ndarray:
        key = (size, None if scale is None else scale[0], None if wanted is None else wanted[0])
        cache: dict[Any, np.ndarray] = self.__dict__.setdefault("_matrices", {})
        if key not in cache:
            rows = [super(Resize, self)._run(row, None, scale, wanted, **attributes)[0]
                    for row in np.eye(size)]  # fmt: skip
            cache[key] = np.stack(rows)
        return cache[key]


class _Window:
    """The places of a kernel over the spatial axes of an input.

    Args:
        size: of the input, spatial axes only.
        kernel, strides, dilations, pads, auto_pad, ceil_mode: as in ONNX.
    """

    def __init__(
        self,
        size: Sequence[int],
        kernel: Sequence[int],
        strides: Sequence[int] | None,
        dilations: Sequence[int] | None,
        pads: Sequence[int] | None,
        auto_pad: str,
        ceil_mode: bool = False,
    ) -> None:
        axes = range(len(size))
        self._strides = list(strides or [1] * len(size))
        self._dilations = list(dilations or [1] * len(size))
        self._kernel = list(kernel)
        extent = [(kernel[i] - 1) * self._dilations[i] + 1 for i in axes]
        if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            self.output = tuple(ceil(size[i] / self._strides[i]) for i in axes)
            total = [
                max((self.output[i] - 1) * self._strides[i] + extent[i] - size[i], 0) for i in axes
            ]
            smaller, larger = [t // 2 for t in total], [t - t // 2 for t in total]
            same_upper = auto_pad == "SAME_UPPER"
            self._before, self._after = (smaller, larger) if same_upper else (larger, smaller)
        else:
            given = list(pads) if pads and auto_pad != "VALID" else [0] * (2 * len(size))
            self._before, self._after = given[: len(size)], given[len(size) :]
            self.output = tuple(self._count(size[i], extent[i], i, ceil_mode) for i in axes)
        # what the last window of ceil_mode needs beyond the padding
        self._beyond = [
            max(
                (self.output[i] - 1) * self._strides[i]
                + extent[i]
                - (size[i] + self._before[i] + self._after[i]),
                0,
            )
            for i in axes
        ]

    def _count(self, size: int, extent: int, axis: int, ceil_mode: bool) -> int:
        stride = self._strides[axis]
        room = size + self._before[axis] + self._after[axis] - extent
        count = (ceil(room / stride) if ceil_mode else room // stride) + 1
        if ceil_mode and (count - 1) * stride >= size + self._before[axis]:
            count -= 1  # no window starts in the padding at the end
        return int(count)

    def pad(self, x: np.ndarray, value: float, beyond: float | None = None) -> np.ndarray:
        """x with its padding, and beyond it what the last windows need."""
        padding = [(0, 0), (0, 0), *zip(self._before, self._after)]
        x = np.pad(x, padding, constant_values=value) if any(map(any, padding)) else x
        if any(self._beyond):
            rest = [(0, 0), (0, 0), *((0, size) for size in self._beyond)]
            x = np.pad(x, rest, constant_values=value if beyond is None else beyond)
        return x

    def places(self, padded: np.ndarray) -> Iterator[np.ndarray]:
        """For each element of the kernel, what it lies on in all windows."""
        for offsets in itertools.product(*map(range, self._kernel)):
            starts = [offset * step for offset, step in zip(offsets, self._dilations)]
            ranges = [
                slice(start, start + (count - 1) * stride + 1, stride)
                for start, count, stride in zip(starts, self.output, self._strides)
            ]
            place = (slice(None), slice(None), *ranges)
            yield padded[place]

    def patches(self, example: np.ndarray) -> np.ndarray:
        """One example (C, ...) as (C * kernel, windows)."""
        if prod(self._kernel) == 1:
            (place,) = self.places(example[None])
            return place.reshape(len(example), -1)
        columns = np.stack([place[0] for place in self.places(example[None])], axis=1)
        return columns.reshape(len(example) * prod(self._kernel), -1)


_erf = np.vectorize(erf, otypes=[np.float64])

OPERATORS = [
    AveragePool,
    Conv,
    ConvTranspose,
    Erf,
    Gelu,
    GroupNormalization,
    LRN,
    LpNormalization,
    MaxPool,
    MeanVarianceNormalization,
    Resize,
    *RECURRENT,
]
