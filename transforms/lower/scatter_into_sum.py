"""Add what was gathered to a gradient that is there, instead of to zeros that are added to it then."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from svgd_onnx.transforms.additions import terms_of
from svgd_onnx.transforms.rule import Rule, apply_rule, integer, text
from svgd_onnx.transforms.writer import Writer

_ADDITIONS = ("Add", "Sum")


class ScatterIntoSum(ir.passes.InPlacePass):
    """Makes ScatterElements(G, indices, updates) of G + ScatterElements(zeros, indices, updates).

    So is the gradient of an embedding that is the last layer's weight as well, and zeros of its shape are as
    much memory as the parameter. onnxruntime adds where G lies, if nothing else reads it.

    Ensures: sums are added up in another order, nothing else changes.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph, modified = model.graph, False
        for node in list(graph):
            if node.op_type in _ADDITIONS and not node.domain:
                modified |= apply_rule(graph, node, _RULE)
        if modified:
            common.RemoveUnusedNodesPass()(model)
        return ir.passes.PassResult(model, modified)


def _into_the_other(node: ir.Node, write: Writer) -> ir.Value | None:
    for scatter, other in terms_of(node):
        if adds_to_zeros(scatter):
            attributes = {"axis": integer(scatter, "axis", 0), "reduction": "add"}
            return write.node("ScatterElements", other, *scatter.inputs[1:], **attributes)
    return None


_RULE: Rule = _into_the_other


def adds_to_zeros(node: ir.Node) -> bool:
    """Whether a node is a ScatterElements that adds to zeros."""
    if node.op_type != "ScatterElements" or text(node, "reduction", "none") != "add":
        return False
    data = node.inputs[0]
    zeros = None if data is None else data.producer()
    # whose value is zero where none is given
    return zeros is not None and zeros.op_type == "ConstantOfShape" and not zeros.attributes
