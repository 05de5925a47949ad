"""What nodes of a training graph change besides parameters: r, and running statistics."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.fast_operators import NORMALIZATION
from svgd_onnx.transforms.virtualize.operator_t import is_t

_NORMALIZATIONS = frozenset({"BatchNormInternal", NORMALIZATION})


def states_of(node: ir.Node) -> list[tuple[int, int]]:
    """Positions of the states among a node's inputs, and of their new values among its outputs."""
    if is_t(node):
        return [(1, 1)]
    return [(3, 1), (4, 2)] if node.op_type in _NORMALIZATIONS else []
