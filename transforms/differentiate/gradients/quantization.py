"""Quantization, straight through: rounding is taken for the identity, and clipping for what it is.

As in torch.fake_quantize_per_tensor_affine: the gradient passes where the rounded number is in the range.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule, Gradients
from svgd_onnx.transforms.quantization import FAKE_QUANTIZE, RANGES, spread
from svgd_onnx.transforms.rule import constant_value, input_of, integer, known_constant, known_rank


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


QUANTIZATION: dict[str, GradientRule] = {FAKE_QUANTIZE: fake_quantize}
