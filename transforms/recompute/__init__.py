"""Forward values that are computed again in the backward pass, instead of kept for it."""

from __future__ import annotations

from svgd_onnx.transforms.recompute.recompute import Recompute
from svgd_onnx.transforms.recompute.split_sequences import SplitSequences

__all__ = ["Recompute", "SplitSequences"]
