"""FusedMatMul, a product of transposed matrices times a number."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.rule import Rule, inputs_of, integer, number, rank
from svgd_onnx.transforms.writer import Writer


def _fused_product(node: ir.Node, write: Writer) -> ir.Value | None:
    if integer(node, "transBatchA", 0) or integer(node, "transBatchB", 0):
        return None
    operands = []
    for value, name in zip(inputs_of(node, 2), ("transA", "transB")):
        operand = value
        if integer(node, name, 0):
            axes = rank(value)
            if axes is None:
                return None
            order = list(range(axes))
            order[-2:] = reversed(order[-2:])
            operand = write.node("Transpose", value, perm=order)
        operands.append(operand)
    product = write.node("MatMul", *operands)
    alpha = number(node, "alpha", 1.0)
    return product if alpha == 1 else write.node("Mul", product, write.scalar(alpha))


MATRIX_PRODUCT: dict[str, Rule] = {"FusedMatMul": _fused_product}
