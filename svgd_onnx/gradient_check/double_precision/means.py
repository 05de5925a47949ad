"""Mean, which the onnx package computes in the shape of the first operand (1.19 to 1.23)."""

from __future__ import annotations

import numpy as np
from onnx.reference.op_run import OpRun


class Mean(OpRun):
    """ONNX operator Mean."""

    op_domain = ""

    def _run(self, *values: np.ndarray) -> tuple[np.ndarray]:
        return (np.asarray(sum(values) / len(values)),)
