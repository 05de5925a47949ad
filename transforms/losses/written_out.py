"""Softmax and Sigmoid as exporters write them out, with simpler operators."""

from __future__ import annotations

import math

import onnx_ir as ir

from svgd_onnx.transforms.rule import constant_value, integers


def written_out_activation(node: ir.Node) -> tuple[str, ir.Value, int | None] | None:
    """The activation that a node ends, what it is of, and the axis that a Softmax normalizes.

    Softmax is Exp divided by its sum, of logits with their maximum taken off or without it, however these
    are spread over the whole; Sigmoid is 1 / (1 + Exp(-x)). None if the node ends neither.
    """
    if node.op_type == "Div":
        return _softmax(node) or _sigmoid(node, node.inputs[1], node.inputs[0])
    if node.op_type == "Reciprocal":
        return _sigmoid(node, node.inputs[0], None)
    return None


def _softmax(node: ir.Node) -> tuple[str, ir.Value, int | None] | None:
    powers, total = node.inputs
    exponential = _made_by(powers, "Exp")
    sum_ = None if powers is None else _reduced("ReduceSum", total, powers)
    if exponential is None or sum_ is None:
        return None
    axes = _axes(sum_)
    if axes is None or len(axes) != 1:
        return None
    logits = exponential.inputs[0]
    shifted = _made_by(logits, "Sub")
    if shifted is not None and shifted.inputs[0] is not None:
        maximum = _reduced("ReduceMax", shifted.inputs[1], shifted.inputs[0])
        if maximum is not None:
            logits = shifted.inputs[0]
    return None if logits is None else ("Softmax", logits, axes[0])


def _reduced(operator: str, value: ir.Value | None, of: ir.Value) -> ir.Node | None:
    """The reduction of a value that leads to another, each number of which stands beside what it is of.

    TensorFlow's exporters take the reduced axis away, put it back with Reshape, and Expand; JAX's maximum is
    at least -inf. A Reshape to the rank of the whole, with size 1 where it was reduced, can be spread over
    the whole only if each number is in its place.
    """
    last = value
    while last is not None and (node := last.producer()) is not None and node.domain == "":
        if node.op_type == operator:
            return node if node.inputs[0] is of and _stands_beside(node, value, of) else None
        if node.op_type in ("Expand", "Reshape", "Identity"):
            last = node.inputs[0]
        elif node.op_type == "Max" and len(node.inputs) == 2:
            others = [each for each in node.inputs if not _is_number(each, -math.inf)]
            last = others[0] if len(others) == 1 else None
        else:
            return None
    return None


def _stands_beside(reduction: ir.Node, value: ir.Value | None, of: ir.Value) -> bool:
    """Whether what a reduction led to has its rank, and size 1 where that was reduced, before it is spread."""
    while (expand := _made_by(value, "Expand")) is not None:
        value = expand.inputs[0]
    if value is None or value is reduction.outputs[0]:
        return value is not None
    axes = _axes(reduction)
    if axes is None or value.shape is None or of.shape is None or len(value.shape) != len(of.shape):
        return False
    return all(value.shape[axis] == 1 for axis in axes)


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
    return _is_number(value, 1)


def _is_number(value: ir.Value | None, number: float) -> bool:
    known = constant_value(value)
    return known is not None and known.size == 1 and float(known.reshape(())) == number


def _axes(node: ir.Node) -> list[int] | None:
    """The axes of a reduction, an attribute or an input."""
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        known = constant_value(node.inputs[1])
        return None if known is None else [int(axis) for axis in known]
    return integers(node, "axes", ()) or None
