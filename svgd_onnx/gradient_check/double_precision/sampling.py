"""AffineGrid, which the onnx package computes in float32 (1.20 to 1.23)."""

from __future__ import annotations

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
