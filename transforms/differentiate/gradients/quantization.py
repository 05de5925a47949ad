"""Quantization, straight through: rounding is taken for the identity, and clipping for what it is.

As in torch.fake_quantize_per_tensor_affine: the gradient passes where the rounded number is in the range.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.differentiate.gradients.broadcast import sum_to
from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule, Gradients
from svgd_onnx.transforms.quantization import FAKE_QUANTIZE, PRODUCT_OF_BITS, RANGES, spread
from svgd_onnx.transforms.rule import (
    attributes_of,
    constant_value,
    input_of,
    integer,
    known_constant,
    known_rank,
)

_BIAS = 5


def fake_quantize(back: Backward) -> Gradients:
    """dX = dY where (q_min - z - 1/2) s <= X <= (q_max - z + 1/2) s, and 0 elsewhere."""
    node = back.node
    dtype = ir.DataType(integer(node, "to", 0))
    if dtype == ir.DataType.INT32:
        return [back.dy]
    scale = known_constant(node.inputs[1], "its scale is")
    given = constant_value(input_of(node, 2))
    zero = np.zeros(scale.shape) if given is None else given.astype(np.float64)
    axes = [1] * known_rank(back.x)
    low, high = (
        spread((end - zero) * scale, axes, node)
        for end in (RANGES[dtype][0] - 0.5, RANGES[dtype][1] + 0.5)
    )
    write = back.write
    inside = write.node(
        "And",
        write.node("GreaterOrEqual", back.x, write.constant(low.astype(np.float32))),
        write.node("LessOrEqual", back.x, write.constant(high.astype(np.float32))),
    )
    return [write.node("Where", inside, back.dy, write.scalar(0))]


def quantized_product(back: Backward) -> Gradients:
    """dX = dY W', where W, of few bits, is what the operator makes of an identity matrix.

    All of it is constant, so that a runtime computes it once.
    """
    write, node = back.write, back.node
    rows = integer(node, "K", 0)
    identity = write.node("EyeLike", write.node("ConstantOfShape", write.integers(rows, rows)))
    inputs = [identity, *node.inputs[1:_BIAS]]
    (matrix,) = write.nodes_with(node.op_type, inputs, attributes_of(node), 1, node.domain)
    matrix.type, matrix.shape = back.dy.type, ir.Shape([rows, integer(node, "N", 0)])
    turned = write.node("Transpose", matrix, perm=[1, 0])
    bias = input_of(node, _BIAS)
    of_bias = None if bias is None else sum_to(write, back.dy, back.y, bias)
    return [write.node("MatMul", back.dy, turned), *[None] * (_BIAS - 1), of_bias][
        : len(back.wanted)
    ]


QUANTIZATION: dict[str, GradientRule] = {
    FAKE_QUANTIZE: fake_quantize,
    PRODUCT_OF_BITS: quantized_product,
}
