"""Sliding windows over the spatial axes: what convolution and pooling have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Windows:
    """Where the windows of a convolution or pooling lie; one entry per spatial axis throughout."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]

    @classmethod
    def of(
        cls, attributes: Mapping[str, Any], spatial: Sequence[int], kernel: Sequence[int]
    ) -> Windows:
        """The windows that an ONNX node asks for over an input of spatial shape `spatial`."""
        if attributes.get("ceil_mode", 0):
            raise NotImplementedError("ceil_mode")
        rank = len(spatial)
        strides = tuple(attributes.get("strides") or (1,) * rank)
        dilations = tuple(attributes.get("dilations") or (1,) * rank)
        missing = [
            max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
            for n, k, s, d in zip(spatial, kernel, strides, dilations)
        ]
        less, more = [m // 2 for m in missing], [m - m // 2 for m in missing]
        pads = {
            "NOTSET": list(attributes.get("pads") or (0,) * 2 * rank),
            "VALID": [0] * 2 * rank,
            "SAME_UPPER": less + more,
            "SAME_LOWER": more + less,
        }[attributes.get("auto_pad", "NOTSET")]
        return cls(tuple(kernel), strides, dilations, tuple(pads[:rank]), tuple(pads[rank:]))

    def pad(self, x: np.ndarray, value: float = 0.0) -> np.ndarray:
        """x (N, C, *spatial) -> (N, C, *padded)."""
        return np.pad(x, [(0, 0), (0, 0), *zip(self.begin, self.end)], constant_values=value)

    def view(self, padded: np.ndarray) -> np.ndarray:
        """padded (N, C, *padded) -> a read-only view (N, C, *out, *kernel)."""
        extents = tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations))
        axes = tuple(range(2, padded.ndim))
        every = np.lib.stride_tricks.sliding_window_view(padded, extents, axes)
        steps = (slice(None, None, step) for step in (*self.strides, *self.dilations))
        return every[(slice(None), slice(None), *steps)]

    def scatter(self, columns: np.ndarray, spatial: Sequence[int]) -> np.ndarray:
        """The adjoint of pad and view: columns (N, C, *out, *kernel) -> (N, C, *spatial)."""
        out = columns.shape[2 : 2 + len(spatial)]
        padded = np.zeros(
            (*columns.shape[:2], *(b + n + e for b, n, e in zip(self.begin, spatial, self.end)))
        )
        for offset in np.ndindex(*self.kernel):
            starts = (o * d for o, d in zip(offset, self.dilations))
            place = (slice(a, a + (n - 1) * s + 1, s) for a, n, s in zip(starts, out, self.strides))
            padded[(..., *place)] += columns[(..., *offset)]
        return padded[(..., *(slice(b, b + n) for b, n in zip(self.begin, spatial)))]
