"""The gradient of Dropout."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.lower.lowering import Lowering
from svgd_onnx.transforms.rule import inputs_of, known_constant
from svgd_onnx.transforms.writer import Writer


def _gradient(node: ir.Node, write: Writer) -> ir.Value:
    """dY mask / (1 - ratio)"""
    gradient, mask, ratio = inputs_of(node, 3)
    value = known_constant(ratio, "its ratio is")
    kept = write.cast(mask, "float32")
    scaled = write.node("Mul", kept, write.scalar(1 / (1 - float(value))))
    return write.node("Mul", gradient, scaled)


DROPOUT: dict[str, Lowering] = {"DropoutGrad": Lowering(_gradient)}
