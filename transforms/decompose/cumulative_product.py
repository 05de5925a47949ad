"""CumProd, as a product for each place of what lies before it."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.rule import Rule, inputs_of, integer, known_constant, known_rank
from svgd_onnx.transforms.writer import Writer


def cumulative_product(node: ir.Node, write: Writer) -> ir.Value:
    """Takes the square of the axis' size in memory, and has the right gradient where factors are 0."""
    x, given = inputs_of(node, 2)
    rank = known_rank(x)
    axis = int(known_constant(given, "its axis is").reshape(())) % rank
    places = write.positions(write.node("Shape", x, start=axis, end=axis + 1))
    of_result = write.node("Unsqueeze", places, write.integers(1))
    comparison = "Greater" if integer(node, "exclusive", 0) else "GreaterOrEqual"
    if integer(node, "reverse", 0):
        comparison = comparison.replace("Greater", "Less")
    counts = write.node(comparison, of_result, places)
    if axis + 1 < rank:
        counts = write.node("Unsqueeze", counts, write.integers(*range(2, rank - axis + 1)))
    factors = write.node("Unsqueeze", x, write.integers(axis))
    factors = write.node("Where", counts, factors, write.scalar(1))
    return write.reduce("ReduceProd", factors, [axis + 1], keepdims=False)


CUMULATIVE_PRODUCT: dict[str, Rule] = {"CumProd": cumulative_product}
