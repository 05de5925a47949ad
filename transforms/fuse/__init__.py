"""Write nodes of a training graph, of any layout, as one operator of ours each."""

from __future__ import annotations

from svgd_onnx.transforms.fuse.attention import FuseAttention
from svgd_onnx.transforms.fuse.fuse import RULES, Fuse
from svgd_onnx.transforms.fuse.sums_of_t import SumsOfT

__all__ = ["RULES", "Fuse", "FuseAttention", "SumsOfT"]
