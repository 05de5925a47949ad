"""The gradient of LayerNormalization."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.lower.lowering import Lowering
from svgd_onnx.transforms.rule import inputs_of, integer, known_rank
from svgd_onnx.transforms.writer import Writer


def _gradient(node: ir.Node, write: Writer) -> list[ir.Value | None]:
    """dX = (g - mean(g) - n mean(g n)) / deviation for g = dY scale and n, x normalized."""
    gradient, x, scale, mean, inverse = inputs_of(node, 5)
    axes = known_rank(x, gradient)
    first = integer(node, "axis", -1) % axes
    over, leading = list(range(first, axes)), list(range(first))
    normalized = write.node("Mul", write.node("Sub", x, mean), inverse)
    scaled = write.node("Mul", gradient, scale)
    along = write.reduce("ReduceMean", write.node("Mul", scaled, normalized), over)
    rest = write.node("Sub", scaled, write.reduce("ReduceMean", scaled, over))
    dx = write.node("Mul", write.node("Sub", rest, write.node("Mul", normalized, along)), inverse)

    def total(value: ir.Value) -> ir.Value:
        return write.reduce("ReduceSum", value, leading, keepdims=False) if leading else value

    d_scale, d_shift = total(write.node("Mul", gradient, normalized)), total(gradient)
    results: list[ir.Value | None] = [dx, d_scale, d_shift]
    return results[: len(node.outputs)]


LAYER_NORMALIZATION: dict[str, Lowering] = {"LayerNormalizationGrad": Lowering(_gradient)}
