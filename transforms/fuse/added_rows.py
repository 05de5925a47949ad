"""The gradient of an embedding that is a layer's weight as well: rows are added where the weight's lies."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.rule import (
    RefusedError,
    Rule,
    Written,
    inputs_of,
    integer,
    only_reader,
    static_shape,
)
from svgd_onnx.transforms.virtualize.operator_t import DOMAIN
from svgd_onnx.transforms.writer import Writer

ADD_ROWS = "AddRows"


def _addition(node: ir.Node, write: Writer) -> Written:
    """G + GatherGrad, whose rows are otherwise added to zeros of G's shape, as much memory as G."""
    if len(node.inputs) != 2:
        raise RefusedError("it is not of two")
    first, second = inputs_of(node, 2)
    for gathered, other in ((first, second), (second, first)):
        gather = gathered.producer()
        if gather is None or gather.op_type != "GatherGrad" or first is second:
            continue
        shape = static_shape(gathered)
        if shape is None or static_shape(other) != shape or integer(gather, "axis", 0):
            continue
        if any(only_reader(value) is not node for value in (first, second)):
            continue
        _, indices, updates = inputs_of(gather, 3)
        if indices.dtype != ir.DataType.INT64:
            indices = write.cast(indices, "int64")
        return write.nodes_with(ADD_ROWS, [other, indices, updates], {}, 1, DOMAIN)
    raise RefusedError("it adds no rows")


ADDED_ROWS: dict[str, Rule] = {"Add": _addition, "Sum": _addition}
