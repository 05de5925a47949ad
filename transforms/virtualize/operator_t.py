"""T's nodes: T(dY) itself, or T's factors for a gradient that is smaller than dY."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from svgd_onnx.transforms.virtualize.settings import EXAMPLE, VirtualGradientSettings
from svgd_onnx.transforms.virtualize.sigma_prime import ParameterUse
from svgd_onnx.transforms.writer import Writer

DOMAIN = "ai.svgd"
VERSION = 1
OP_TYPE = "VirtualGradient"
FACTOR_OP_TYPE = "GradientFactor"
SIZE_OUTPUT, SUMS_OUTPUT = 2, 3
"""Outputs that T has where they are asked for: the size of the new r, finite where that is, and sums of dY."""

Attributes = Mapping[str, "float | int"]


def is_t(node: ir.Node) -> bool:
    """Whether a node is T, or T's factors."""
    return node.domain == DOMAIN and node.op_type in (OP_TYPE, FACTOR_OP_TYPE)


def ask_for(node: ir.Node, output: int) -> ir.Value:
    """One of those outputs, which has no type and no shape yet."""
    before = len(node.outputs)
    if before <= output:
        node.resize_outputs(output + 1)
        for value in node.outputs[before:]:
            value.name = ""  # it is not there
    value = node.outputs[output]
    value.name = f"{node.name}_{output}"
    return value


def attributes_of_t(use: ParameterUse, settings: VirtualGradientSettings) -> Attributes:
    """What T's node is told: Algorithm 1's hyper-parameters, what feeds r, and the axis of r's entries."""
    values: dict[str, float | int] = {
        "scale": float(settings.scale),
        "rho": float(settings.rho),
        "epsilon": float(settings.epsilon),
    }
    if settings.gradient == EXAMPLE:
        values["per_example"] = 1
    if use.channel_axis is not None:
        values["channel_axis"] = use.channel_axis
    return values


def state_input(use: ParameterUse) -> ir.Value:
    """r, as an input of the graph: a parameter without a gradient."""
    return ir.val(use.state, ir.DataType.FLOAT, use.state_shape)


def transformed(
    write: Writer, output_gradient: ir.Value, state: ir.Value, attributes: Attributes
) -> ir.Value:
    """T(dY), of dY's shape and type; the node's second output is the new r."""
    result = _t(write, OP_TYPE, output_gradient, state, attributes)
    result.type = output_gradient.type
    return result


def scaled_gradient(
    write: Writer,
    output_gradient: ir.Value,
    gradient: ir.Value,
    state: ir.Value,
    attributes: Attributes,
    axis: int,
) -> ir.Value:
    """The parameter's gradient times T's factors, along its axis of channels."""
    factors = _t(write, FACTOR_OP_TYPE, output_gradient, state, attributes)
    factors.type, factors.shape = state.type, state.shape
    rank = len(gradient.shape) if gradient.shape is not None else 0
    assert rank > axis
    after = rank - 1 - axis
    if after:
        factors = write.node("Reshape", factors, write.integers(-1, *[1] * after))
    product = write.node("Mul", gradient, factors)
    product.type, product.shape = gradient.type, gradient.shape
    return product


def _t(
    write: Writer,
    op_type: str,
    output_gradient: ir.Value,
    state: ir.Value,
    attributes: Attributes,
) -> ir.Value:
    """T's node, whose first output is T(dY) or T's factors and whose second is the new r."""
    inputs = [output_gradient, state]
    result, updated = write.nodes_with(op_type, inputs, attributes, 2, domain=DOMAIN)
    updated.type, updated.shape = state.type, state.shape
    return result
