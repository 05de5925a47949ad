"""Softmax and Sigmoid as exporters write them out, with simpler operators."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.rule import constant_value, integers


def written_out_activation(node: ir.Node) -> tuple[str, ir.Value, int | None] | None:
    """The activation that a node ends, what it is of, and the axis that a Softmax normalizes.

    Softmax is Exp divided by its sum, of logits with their maximum taken off or without it; Sigmoid is
    1 / (1 + Exp(-x)). None if the node ends neither.
    """
    if node.op_type == "Div":
        return _softmax(node) or _sigmoid(node, node.inputs[1], node.inputs[0])
    if node.op_type == "Reciprocal":
        return _sigmoid(node, node.inputs[0], None)
    return None


def _softmax(node: ir.Node) -> tuple[str, ir.Value, int | None] | None:
    powers, total = node.inputs
    exponential = _made_by(powers, "Exp")
    sum_ = _made_by(total, "ReduceSum")
    if exponential is None or sum_ is None or sum_.inputs[0] is not powers:
        return None
    axes = _axes(sum_)
    if axes is None or len(axes) != 1:
        return None
    logits = exponential.inputs[0]
    shifted = _made_by(logits, "Sub")
    if shifted is not None:
        maximum = _made_by(shifted.inputs[1], "ReduceMax")
        if maximum is not None and maximum.inputs[0] is shifted.inputs[0]:
            logits = shifted.inputs[0]
    return None if logits is None else ("Softmax", logits, axes[0])


def _sigmoid(
    node: ir.Node, below: ir.Value | None, above: ir.Value | None
) -> tuple[str, ir.Value, None] | None:
    """Of 1 over one more than a power; above is None where the node is a Reciprocal."""
    sum_ = _made_by(below, "Add")
    if sum_ is None or (above is not None and not _is_one(above)):
        return None
    for one, powers in (sum_.inputs, sum_.inputs[::-1]):
        exponential = _made_by(powers, "Exp")
        if exponential is None or not _is_one(one):
            continue
        negative = _made_by(exponential.inputs[0], "Neg")
        if negative is not None and negative.inputs[0] is not None:
            return "Sigmoid", negative.inputs[0], None
    return None


def _made_by(value: ir.Value | None, operator: str) -> ir.Node | None:
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type == operator and node.domain == "" else None


def _is_one(value: ir.Value | None) -> bool:
    known = constant_value(value)
    return known is not None and known.size == 1 and float(known.reshape(())) == 1


def _axes(node: ir.Node) -> list[int] | None:
    """The axes of a reduction, an attribute or an input."""
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        known = constant_value(node.inputs[1])
        return None if known is None else [int(axis) for axis in known]
    return integers(node, "axes", ()) or None
