"""DequantizeLinear, as what it stands for, so that its scale can be trained."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.rule import Rule, attributes_of, inputs_of, integer, known_rank, rank
from svgd_onnx.transforms.writer import Writer


def dequantize(node: ir.Node, write: Writer) -> ir.Value:
    """By a scale of 1, times the scale: of the tensor, of each place of an axis, or of blocks of these."""
    x, scale = inputs_of(node, 2)
    size = known_rank(x)
    axis = integer(node, "axis", 1) % max(size, 1)
    block = integer(node, "block_size", 0)
    ones = write.node(
        "ConstantOfShape", write.node("Shape", scale), value=ir.tensor(np.ones(1, np.float32))
    )
    value = write.node("DequantizeLinear", x, ones, *node.inputs[2:], **attributes_of(node))
    if block:
        places = write.positions(write.node("Shape", x, start=axis, end=axis + 1))
        places = write.node("Div", places, write.integer(block))
        scale = write.node("Gather", scale, places, axis=axis)
    elif rank(scale) == 1 and axis + 1 < size:
        scale = write.node("Unsqueeze", scale, write.integers(*range(1, size - axis)))
    return write.node("Mul", value, scale)


DEQUANTIZE: dict[str, Rule] = {"DequantizeLinear": dequantize}
