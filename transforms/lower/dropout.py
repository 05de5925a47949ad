"""The gradient of Dropout."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.rule import Rule, constant_value, inputs_of
from svgd_onnx.transforms.writer import Writer


def _gradient(node: ir.Node, write: Writer) -> ir.Value | None:
    """dY mask / (1 - ratio)"""
    gradient, mask, ratio = inputs_of(node, 3)
    value = constant_value(ratio)
    if value is None:
        return None
    kept = write.node("Cast", mask, to=ir.DataType.FLOAT)
    scaled = write.node("Mul", kept, write.scalar(1 / (1 - float(value))))
    return write.node("Mul", gradient, scaled)


DROPOUT: dict[str, Rule] = {"DropoutGrad": _gradient}
