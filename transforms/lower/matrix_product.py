"""FusedMatMul, a product of transposed matrices times a number."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.lower.lowering import Lowering
from svgd_onnx.transforms.rule import RefusedError, inputs_of, integer, known_rank, number
from svgd_onnx.transforms.writer import Writer


def _fused_product(node: ir.Node, write: Writer) -> ir.Value:
    if integer(node, "transBatchA", 0) or integer(node, "transBatchB", 0):
        raise RefusedError("it transposes axes of the batch")
    operands = []
    for value, name in zip(inputs_of(node, 2), ("transA", "transB")):
        operand = value
        if integer(node, name, 0):
            order = list(range(known_rank(value)))
            order[-2:] = reversed(order[-2:])
            operand = write.node("Transpose", value, perm=order)
        operands.append(operand)
    product = write.node("MatMul", *operands)
    alpha = number(node, "alpha", 1.0)
    return product if alpha == 1 else write.node("Mul", product, write.scalar(alpha))


MATRIX_PRODUCT: dict[str, Lowering] = {"FusedMatMul": Lowering(_fused_product)}
