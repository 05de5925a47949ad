"""AffineGrid, GridSample and DeformConv, which the onnx package computes in float32 (1.20 to 1.23)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun


class AffineGrid(OpRun):
    """ONNX operator AffineGrid."""

    op_domain = ""

    def _run(
        self, theta: np.ndarray, size: np.ndarray, align_corners: int = 0
    ) -> tuple[np.ndarray]:
        axes = []
        for count in size[2:]:
            steps = np.arange(count)
            even = 2 * steps / max(count - 1, 1) if align_corners else (2 * steps + 1) / count
            axes.append(even - 1)
        # (x, y[, z], 1) of each place
        places = np.meshgrid(*axes, indexing="ij")[::-1]
        base = np.stack([*places, np.ones(tuple(size[2:]))], axis=-1)
        return (np.einsum("...k,njk->n...j", base, theta),)


class GridSample(OpRun):
    """ONNX operator GridSample."""

    op_domain = ""

    def _run(
        self,
        x: np.ndarray,
        grid: np.ndarray,
        align_corners: int = 0,
        mode: str = "linear",
        padding_mode: str = "zeros",
    ) -> tuple[np.ndarray]:
        axes = []
        for axis, size in enumerate(x.shape[2:]):
            place = (grid[..., x.ndim - 3 - axis] + 1) / 2
            place = place * (size - 1) if align_corners else place * size - 0.5
            axes.append(_read(place, size, mode.removeprefix("bi"), padding_mode, align_corners))
        return (_interpolated(x, axes),)


class DeformConv(OpRun):
    """ONNX operator DeformConv."""

    op_domain = ""

    def _run(
        self,
        x: np.ndarray,
        w: np.ndarray,
        offset: np.ndarray,
        b: np.ndarray | None = None,
        mask: np.ndarray | None = None,
        dilations: Sequence[int] | None = None,
        group: int = 1,
        kernel_shape: Sequence[int] | None = None,
        offset_group: int = 1,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> tuple[np.ndarray]:
        kernel, output, dims = w.shape[2:], offset.shape[2:], x.ndim - 2
        images = x.reshape(len(x) * offset_group, -1, *x.shape[2:])
        offsets = offset.reshape(len(images), -1, dims, *output)
        starts = np.indices(output)
        columns = []
        for k, element in enumerate(np.ndindex(*kernel)):
            axes = []
            for axis, size in enumerate(x.shape[2:]):
                start = starts[axis] * (strides[axis] if strides else 1)
                start = start + element[axis] * (dilations[axis] if dilations else 1)
                place = start - (pads[axis] if pads else 0) + offsets[:, k, axis]
                axes.append(_read(place, size, "linear", "zeros", 0))
            columns.append(_interpolated(images, axes))
        read = np.stack(columns, axis=2)
        if mask is not None:
            read = read * mask.reshape(len(images), 1, -1, *output)
        rows = w.reshape(group, len(w) // group, -1)
        y = rows @ read.reshape(len(x), group, rows.shape[2], -1)
        y = y.reshape(len(x), len(w), *output)
        return (y if b is None else y + b.reshape(-1, *[1] * dims),)


Read = list[tuple[np.ndarray, np.ndarray]]


def _interpolated(x: np.ndarray, axes: Sequence[Read]) -> np.ndarray:
    """(N, C, ...) at places, from the pixels and weights (N, ...) that each axis reads."""
    first, _ = axes[0][0]
    y = np.zeros((*x.shape[:2], *first.shape[1:]))
    example = np.arange(len(x)).reshape(-1, *[1] * (first.ndim - 1))
    for pixels in itertools.product(*axes):
        weight = np.prod([weight for _, weight in pixels], axis=0)
        where: Any = (example, slice(None), *(place for place, _ in pixels))
        y += np.moveaxis(x[where], -1, 1) * weight[:, None]
    return y


def _read(place: np.ndarray, size: int, mode: str, padding: str, corners: int) -> Read:
    """The pixels that are read along an axis, and their weights."""

    def padded(place: np.ndarray) -> np.ndarray:
        if padding == "reflection":
            low, high = (0.0, size - 1.0) if corners else (-0.5, size - 0.5)
            period = 2 * (high - low) or 1.0
            place = (place - low) % period
            place = np.minimum(place, period - place) + low
        return place if padding == "zeros" else np.clip(place, 0, size - 1)

    kernels: dict[str, tuple[list[int], Callable[[np.ndarray], np.ndarray]]] = {
        "nearest": ([0], np.ones_like),
        "linear": ([0, 1], lambda far: 1 - far),
        "cubic": ([-1, 0, 1, 2], _cubic),
    }
    if mode != "cubic":
        place = padded(place)
    first = np.rint(place) if mode == "nearest" else np.floor(place)
    offsets, kernel = kernels[mode]
    found = []
    for offset in offsets:
        pixel = first + offset
        weight = kernel(np.abs(place - pixel))
        if mode == "cubic":
            pixel = padded(pixel)
        inside = (pixel >= 0) & (pixel < size)
        found.append((np.clip(pixel, 0, size - 1).astype(np.int64), weight * inside))
    return found


def _cubic(far: np.ndarray, a: float = -0.75) -> np.ndarray:
    near = ((a + 2) * far - (a + 3)) * far**2 + 1
    return np.asarray(np.where(far <= 1, near, ((far - 5) * far + 8) * far * a - 4 * a))
