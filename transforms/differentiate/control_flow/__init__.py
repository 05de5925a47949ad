"""Gradients of the operators that have bodies."""

from __future__ import annotations

from svgd_onnx.transforms.differentiate.control_flow.branches import branches
from svgd_onnx.transforms.differentiate.control_flow.turns import turns
from svgd_onnx.transforms.differentiate.graph_pass import BodyRule

BODY_RULES: dict[str, BodyRule] = {"If": branches, "Loop": turns, "Scan": turns}

__all__ = ["BODY_RULES"]
