"""Write nodes of a training graph, of any layout, as one operator of ours each."""

from __future__ import annotations

from svgd_onnx.transforms.fuse.fuse import RULES, Fuse

__all__ = ["RULES", "Fuse"]
