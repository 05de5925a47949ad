"""T with channels last: r keeps the order that the checkpoint has it in."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.channels_last.convolutions import multiplies_itself
from svgd_onnx.transforms.channels_last.layout import (
    FEWEST_AXES,
    Last,
    Layout,
    Rule,
    Scaled,
    Second,
    Written,
    moved_axis,
)
from svgd_onnx.transforms.rule import RefusedError, attributes_of, inputs_of, known_rank
from svgd_onnx.transforms.virtualize.operator_t import FACTOR_OP_TYPE, OP_TYPE

CHANNEL_AXIS, CHANNELS_LAST = "channel_axis", "channels_last"


def _transformed(node: ir.Node, layout: Layout) -> Written:
    """T(dY), or T's factors where all that reads it can multiply by them."""
    gradient, state = inputs_of(node, 2)
    output = node.outputs[0]
    readers = [reader for reader, _ in output.uses()]
    fused = bool(readers) and not output.is_graph_output()
    fused = fused and all(multiplies_itself(reader, output) for reader in readers)
    op_type = FACTOR_OP_TYPE if fused else OP_TYPE
    dy, first, updated = _t(node, layout, op_type, gradient, state)
    if fused:
        layout.scaled[output] = Scaled(dy, first)
        return [None, Second(updated)]
    return [Last(first), Second(updated)]


def _factors(node: ir.Node, layout: Layout) -> Written:
    gradient, state = inputs_of(node, 2)
    if CHANNEL_AXIS not in node.attributes:
        raise RefusedError("its factors are of elements")
    _, factors, updated = _t(node, layout, FACTOR_OP_TYPE, gradient, state)
    return [Second(factors), Second(updated)]


def _t(
    node: ir.Node, layout: Layout, op_type: str, gradient: ir.Value, state: ir.Value
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """dY with channels last, and the two outputs of T's node for it."""
    rank = known_rank(gradient)
    if rank < FEWEST_AXES:
        raise RefusedError(f"dY has {rank} axes")
    attributes = attributes_of(node)
    if CHANNEL_AXIS in attributes:
        attributes[CHANNEL_AXIS] = moved_axis(attributes[CHANNEL_AXIS], rank)
    else:
        attributes[CHANNELS_LAST] = 1
    dy = layout.last(gradient)
    first, updated = layout.operator(op_type, [dy, state], attributes, 2)
    return dy, first, updated


VIRTUAL_GRADIENT: dict[str, Rule] = {OP_TYPE: _transformed, FACTOR_OP_TYPE: _factors}
