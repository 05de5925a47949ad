"""The gradient of an embedding that is a layer's weight as well: rows are added where the weight's lies."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.additions import terms_of
from svgd_onnx.transforms.rule import RefusedError, Rule, Written, inputs_of, integer
from svgd_onnx.transforms.virtualize.operator_t import DOMAIN
from svgd_onnx.transforms.writer import Writer

ADD_ROWS = "AddRows"


def _addition(node: ir.Node, write: Writer) -> Written:
    """G + GatherGrad, whose rows are otherwise added to zeros of G's shape, as much memory as G."""
    for gather, other in terms_of(node):
        if gather.op_type != "GatherGrad" or integer(gather, "axis", 0):
            continue
        _, indices, updates = inputs_of(gather, 3)
        if indices.dtype != ir.DataType.INT64:
            indices = write.cast(indices, "int64")
        return write.nodes_with(ADD_ROWS, [other, indices, updates], {}, 1, DOMAIN)
    raise RefusedError("it adds no rows")


ADDED_ROWS: dict[str, Rule] = {"Add": _addition, "Sum": _addition}
