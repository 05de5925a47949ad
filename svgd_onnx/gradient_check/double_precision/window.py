"""The places of a kernel over an image.

What auto_pad stands for is worked out here once more, apart from the transforms that this checks.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from math import ceil, prod

import numpy as np


def halves(total: Sequence[int], auto_pad: str) -> tuple[list[int], list[int]]:
    """Padding before and after, from that of both sides, as SAME_UPPER and SAME_LOWER part it."""
    smaller, larger = [each // 2 for each in total], [each - each // 2 for each in total]
    return (smaller, larger) if auto_pad == "SAME_UPPER" else (larger, smaller)


class Window:
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
            self._before, self._after = halves(total, auto_pad)
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
