"""Operators that onnxruntime's and optimum's optimizers write, with those that ONNX has."""

from __future__ import annotations

from svgd_onnx.transforms.canonicalize.fused.expand_fused import (
    DOMAIN,
    FUSED_OPERATORS,
    ExpandFused,
    OwnDomain,
    is_fused,
)

__all__ = ["DOMAIN", "FUSED_OPERATORS", "ExpandFused", "OwnDomain", "is_fused"]
