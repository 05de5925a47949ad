"""Activations; the onnx package's Erf computes in float32 (1.19 to 1.23)."""

from __future__ import annotations

from math import erf

import numpy as np
from onnx.reference.op_run import OpRun

_erf = np.vectorize(erf, otypes=[np.float64])


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
