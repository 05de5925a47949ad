"""Operators without a gradient in onnxruntime, written with operators that have one.

Only the graph that is differentiated changes: the evaluation model and the exported model keep the
operators that came in.
"""

from __future__ import annotations

from svgd_onnx.transforms.decompose.decompose import RULES, Decompose
from svgd_onnx.transforms.decompose.differentiable import blocking_nodes, where_gradients_end

__all__ = ["RULES", "Decompose", "blocking_nodes", "where_gradients_end"]
