"""Rounding and sign: steps, whose derivative is 0 wherever it exists."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.rule import Rule, inputs_of
from svgd_onnx.transforms.writer import Writer


def _without_gradient(node: ir.Node, write: Writer) -> ir.Value:
    # Gradients stop at a cast to an integer, which holds the result exactly.
    (x,) = inputs_of(node, 1)
    return write.cast(write.cast(write.node(node.op_type, x), "int64"), "float32")


ROUNDING: dict[str, Rule] = {
    "Ceil": _without_gradient,
    "Floor": _without_gradient,
    "Round": _without_gradient,
    "Sign": _without_gradient,
}
