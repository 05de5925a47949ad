"""Resize; the onnx package's goes output by output (1.19 to 1.23)."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx.reference.ops.op_resize import Resize as _ReferenceResize


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
        if (
            attributes.get("axes")
            or attributes.get("keep_aspect_ratio_policy") not in (None, "stretch")
            or attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize"
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
