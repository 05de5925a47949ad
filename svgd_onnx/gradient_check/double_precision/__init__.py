"""A model's value in float64, computed by the onnx package's own reference evaluator.

It shares nothing with onnxruntime, so what the two agree on is right.
"""

from __future__ import annotations

from svgd_onnx.gradient_check.double_precision.evaluator import Evaluator

__all__ = ["Evaluator"]
