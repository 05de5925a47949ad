"""Convolutions and matrix products that onnxruntime fuses with what stands around them."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from svgd_onnx.transforms.canonicalize.fused.activations import activated, numbers_of
from svgd_onnx.transforms.canonicalize.fused.fused_operator import FusedOperator
from svgd_onnx.transforms.rule import (
    attributes_of,
    input_of,
    inputs_of,
    integer,
    known_rank,
    number,
    text,
)
from svgd_onnx.transforms.writer import Writer

_OF_CONV = frozenset({"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"})
_OF_GEMM = frozenset({"alpha", "beta", "transA", "transB"})


def fused_conv(node: ir.Node, write: Writer) -> ir.Value:
    """The activation of a convolution, to which a fourth input is added before."""
    y = write.node("Conv", *node.inputs[:3], **_chosen(node, _OF_CONV))
    added = input_of(node, 3)
    if added is not None:
        y = write.node("Add", y, added)
    activation = text(node, "activation", "")
    given = node.attributes.get("activation_params")
    numbers = [] if given is None else given.as_floats()
    return activated(write, y, activation, dict(zip(numbers_of(activation), numbers)))


def fused_gemm(node: ir.Node, write: Writer) -> ir.Value:
    """The activation of a Gemm."""
    y = write.node("Gemm", *node.inputs[:3], **_chosen(node, _OF_GEMM))
    activation = text(node, "activation", "")
    numbers = {
        name: node.attributes[f"activation_{name}"].as_float()
        for name in numbers_of(activation)
        if f"activation_{name}" in node.attributes
    }
    return activated(write, y, activation, numbers)


def fused_mat_mul(node: ir.Node, write: Writer) -> ir.Value:
    """alpha A B, where the matrices of A and B may lie otherwise."""
    left, right = (
        _transposed(write, value, integer(node, f"trans{name}", 0), integer(node, batch, 0))
        for value, name, batch in zip(inputs_of(node, 2), "AB", ("transBatchA", "transBatchB"))
    )
    y = write.node("MatMul", left, right)
    alpha = number(node, "alpha", 1.0)
    return y if alpha == 1.0 else write.node("Mul", y, write.scalar(alpha))


def _transposed(write: Writer, value: ir.Value, matrix: int, batch: int) -> ir.Value:
    """An operand as the product wants it: (batch axes, rows, columns).

    Args:
        matrix: whether its rows and columns are exchanged; a vector has none.
        batch: whether its first axis is that of rows, before the batch axes.
    """
    if not matrix and not batch:
        return value
    rank = known_rank(value)
    if rank < 2:
        return value
    order = list(range(rank))
    if batch:
        order = [*order[1:-1], 0, order[-1]]
    if matrix:
        order[-2:] = reversed(order[-2:])
    return write.node("Transpose", value, perm=order)


def _chosen(node: ir.Node, names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in attributes_of(node).items() if name in names}


_OF_MAT_MUL = frozenset({"alpha", "transA", "transB", "transBatchA", "transBatchB"})
_GEMM_ACTIVATION = frozenset(
    {"activation", "activation_alpha", "activation_beta", "activation_gamma"}
)

PRODUCTS = {
    "FusedConv": FusedOperator(
        fused_conv, inputs=4, attributes=_OF_CONV | {"activation", "activation_params"}
    ),
    "FusedGemm": FusedOperator(fused_gemm, inputs=3, attributes=_OF_GEMM | _GEMM_ACTIVATION),
    "FusedMatMul": FusedOperator(fused_mat_mul, inputs=2, attributes=_OF_MAT_MUL),
    "TransposeMatMul": FusedOperator(fused_mat_mul, inputs=2, attributes=_OF_MAT_MUL),
}
