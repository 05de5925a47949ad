"""Sum, Mean, Max and Min of any number of inputs, two at a time."""

from __future__ import annotations

from functools import reduce

import onnx_ir as ir

from svgd_onnx.transforms.rule import Rule, inputs_of
from svgd_onnx.transforms.writer import Writer


def _pairwise(op_type: str) -> Rule:
    def rule(node: ir.Node, write: Writer) -> ir.Value | None:
        values = inputs_of(node, len(node.inputs))
        if node.op_type == op_type and len(values) == 2:
            return None
        if len(values) == 1:
            return write.node("Identity", values[0])
        return reduce(lambda left, right: write.node(op_type, left, right), values)

    return rule


def mean(node: ir.Node, write: Writer) -> ir.Value:
    values = inputs_of(node, len(node.inputs))
    total = reduce(lambda left, right: write.node("Add", left, right), values)
    return write.node("Mul", total, write.scalar(1.0 / len(values)))


N_ARY: dict[str, Rule] = {
    "Max": _pairwise("Max"),
    "Mean": mean,
    "Min": _pairwise("Min"),
    "Sum": _pairwise("Add"),
}
