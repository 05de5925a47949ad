"""References of operators that move elements, for the onnx package's evaluator.

Its own GatherElements and ScatterElements want indices of the size of the data along all other axes,
and its GatherElements fails on an axis of more than 64; its Pad crops nothing, and its OneHot takes no
depth of one axis (1.19 to 1.23).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun


def _places(indices: np.ndarray, axis: int) -> tuple[np.ndarray, ...]:
    places: list[np.ndarray] = list(np.indices(indices.shape, sparse=True))
    places[axis] = indices
    return tuple(places)


class GatherElements(OpRun):
    """ONNX operator GatherElements."""

    op_domain = ""

    def _run(self, data: np.ndarray, indices: np.ndarray, axis: int = 0) -> tuple[np.ndarray]:
        return (data[_places(indices, axis)],)


class ScatterElements(OpRun):
    """ONNX operator ScatterElements."""

    op_domain = ""

    def _run(
        self,
        data: np.ndarray,
        indices: np.ndarray,
        updates: np.ndarray,
        axis: int = 0,
        reduction: str | None = None,
    ) -> tuple[np.ndarray]:
        y, places = data.copy(), _places(indices, axis)
        functions = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}
        if reduction in functions:
            functions[reduction].at(y, places, updates)
        else:
            y[places] = updates
        return (y,)


class Pad(OpRun):
    """ONNX operator Pad."""

    op_domain = ""

    def _run(
        self,
        data: np.ndarray,
        pads: np.ndarray,
        value: np.ndarray | None = None,
        axes: Sequence[int] | None = None,
        mode: str = "constant",
    ) -> tuple[np.ndarray]:
        sides = [(0, 0)] * data.ndim
        for place, axis in enumerate(range(data.ndim) if axes is None else axes):
            sides[axis] = (int(pads[place]), int(pads[place + len(pads) // 2]))
        kept = tuple(
            slice(max(-before, 0), size - max(-after, 0))
            for size, (before, after) in zip(data.shape, sides)
        )
        added = [(max(before, 0), max(after, 0)) for before, after in sides]
        options: dict[str, Any] = {}
        if mode == "constant":
            options["constant_values"] = 0 if value is None else np.reshape(value, ())
        return (np.pad(data[kept], added, mode=mode, **options),)  # type: ignore[call-overload]


class OneHot(OpRun):
    """ONNX operator OneHot."""

    op_domain = ""

    def _run(
        self, indices: np.ndarray, depth: np.ndarray, values: np.ndarray, axis: int = -1
    ) -> tuple[np.ndarray]:
        count = int(np.reshape(depth, ()))
        inside = (-count <= indices) & (indices < count)
        rows = np.zeros((*indices.shape, count), bool)
        np.put_along_axis(
            rows, np.where(inside, indices % count, 0)[..., None], inside[..., None], -1
        )
        return (np.moveaxis(np.where(rows, values[1], values[0]), -1, axis),)


MOVEMENT = [GatherElements, OneHot, Pad, ScatterElements]
