"""DequantizeLinear, as what it stands for, so that its scale can be trained."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.rule import Rule, input_of, inputs_of, integer, known_rank, rank
from svgd_onnx.transforms.writer import Writer


def dequantize(node: ir.Node, write: Writer) -> ir.Value:
    """(x - zero point) scale, both of the tensor, of each place of an axis, or of blocks of these."""
    x, scale = inputs_of(node, 2)
    zero_point = input_of(node, 2)
    size = known_rank(x)
    axis = integer(node, "axis", 1) % max(size, 1)
    block = integer(node, "block_size", 0)

    def spread(value: ir.Value) -> ir.Value:
        if block:
            places = write.positions(write.node("Shape", x, start=axis, end=axis + 1))
            return write.node(
                "Gather", value, write.node("Div", places, write.integer(block)), axis=axis
            )
        if rank(scale) == 1 and axis + 1 < size:
            return write.node("Unsqueeze", value, write.integers(*range(1, size - axis)))
        return value

    value = write.cast(x, "float32")
    if zero_point is not None:
        value = write.node("Sub", value, spread(write.cast(zero_point, "float32")))
    return write.node("Mul", value, spread(scale))


DEQUANTIZE: dict[str, Rule] = {"DequantizeLinear": dequantize}
