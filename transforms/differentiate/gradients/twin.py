"""Twins: the gradient of an operation with T inside (paper Sec. 3.1)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import onnx_ir as ir

from svgd_onnx.transforms.decompose.differentiable import flow_between
from svgd_onnx.transforms.differentiate.gradients.backward_pass import BackwardPass
from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule, Gradients
from svgd_onnx.transforms.rule import attributes_of
from svgd_onnx.transforms.virtualize.operator_t import scaled_gradient, transformed
from svgd_onnx.transforms.virtualize.twins import PARAMETERS, TWIN, WEIGHT_AXIS
from svgd_onnx.transforms.writer import Writer


def twin(back: Backward) -> Gradients:
    """The operation's own rule, of T(dY) for the parameters that T acts on, of dY for its other inputs.

    Where T is a factor for each channel of a smaller weight, the rule of dY gives that gradient too, and
    the factors act on it. T comes last, so that dX reads dY before T may overwrite it.
    """
    y, *operands, state = back.node.inputs
    assert y is not None and state is not None
    attributes = attributes_of(back.node)
    parameters = [operands[position] for position in attributes.pop(PARAMETERS)]
    axis = attributes.pop(WEIGHT_AXIS, None)
    asked = zip(operands, back.wanted[1:])
    wanted = [value for value, wants in asked if value is not None and wants]
    virtual = [value for value in wanted if value in parameters]
    raw = [value for value in wanted if axis is not None or value not in virtual]
    operation = _nodes(y, operands)
    gradients = _gradients(back, operation, y, back.dy, raw, f"{back.y.name}/")
    write = Writer(str(state.name), back.write.opset)
    if axis is not None:
        (weight,) = virtual
        gradients[weight] = scaled_gradient(
            write, back.dy, gradients[weight], state, attributes, axis
        )
        back.write.take(write)
    else:
        t = transformed(write, back.dy, state, attributes)
        t.shape = back.dy.shape
        back.write.take(write)
        gradients.update(_gradients(back, operation, y, t, virtual, f"{state.name}/"))
        # what lowers the gradients later sees what it sees of a T that is put in later
        t.shape = None
    return [None if value is None else gradients.pop(value, None) for value in back.node.inputs]


def _nodes(y: ir.Value, operands: Collection[ir.Value | None]) -> list[ir.Node]:
    """The operation: one node, or those that a decomposition wrote for it, in order."""
    nodes: dict[ir.Node, None] = {}

    def collect(value: ir.Value | None) -> None:
        node = None if value is None or value in operands else value.producer()
        if node is not None and node not in nodes:
            for each in node.inputs:
                collect(each)
            nodes[node] = None

    collect(y)
    return list(nodes)


def _gradients(
    back: Backward,
    nodes: Sequence[ir.Node],
    y: ir.Value,
    dy: ir.Value,
    wanted: Sequence[ir.Value],
    prefix: str,
) -> dict[ir.Value, ir.Value]:
    """The gradients of some operands, as the plain rules make them of that of the output."""
    path, flowing = flow_between(nodes, wanted, [y])
    backward = BackwardPass(back.rules, flowing, back.write.opset, back.write.take, prefix)
    backward.start(y, dy)
    for node in reversed(path):
        backward.differentiate(node)
    totals = {value: backward.total(value) for value in wanted}
    return {value: total for value, total in totals.items() if total is not None}


TWINS: dict[str, GradientRule] = {TWIN: twin}
