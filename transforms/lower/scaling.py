"""Scale and ReduceSumTraining."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.lower.lowering import Lowering
from svgd_onnx.transforms.rule import inputs_of, integer
from svgd_onnx.transforms.writer import Writer


def _scale(node: ir.Node, write: Writer) -> ir.Value:
    value, scale = inputs_of(node, 2)
    number = write.cast(scale, "float32")
    return write.node("Div" if integer(node, "scale_down", 0) else "Mul", value, number)


def _sum(node: ir.Node, write: Writer) -> ir.Value:
    value, axes = inputs_of(node, 2)
    return write.node(
        "ReduceSum",
        value,
        axes,
        keepdims=integer(node, "keepdims", 1),
        noop_with_empty_axes=integer(node, "noop_with_empty_axes", 0),
    )


SCALING: dict[str, Lowering] = {"ReduceSumTraining": Lowering(_sum), "Scale": Lowering(_scale)}
