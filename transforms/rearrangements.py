"""Operators that move the elements of their first input and do nothing else to them."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.quantization import is_fake_quantization

REARRANGEMENTS = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


def hands_on(node: ir.Node, position: int) -> bool:
    """Whether what takes a node's output takes one of its inputs: moved, or rounded straight through."""
    return position == 0 and (node.op_type in REARRANGEMENTS or is_fake_quantization(node))
