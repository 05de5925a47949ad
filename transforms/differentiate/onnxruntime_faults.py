"""What onnxruntime-training 1.19.2 is known to differentiate wrongly, or dies of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.rule import constant_value, input_of, integer, static_shape, text

# From a node to what is wrong with its gradient, or None.
Fault = Callable[[ir.Node], "str | None"]


def _convolution(node: ir.Node) -> str | None:
    weight = node.inputs[1]
    axes = 2 if weight is None or weight.shape is None else len(weight.shape) - 2
    if integer(node, "group", 1) > 1 and axes != 2:
        return f"ConvGrad in groups over {axes} spatial axes writes behind its output"
    return None


def _max_pool(node: ir.Node) -> str | None:
    x = node.inputs[0]
    if x is None or static_shape(x, 2) is None:
        return "MaxPoolGrad over open image axes ends the process"
    if integer(node, "storage_order", 0):
        return "MaxPoolGrad counts places by rows"
    return None


def _slice(node: ir.Node) -> str | None:
    steps = input_of(node, 4)
    known = constant_value(steps)
    if steps is not None and (known is None or bool(np.any(known < 0))):
        return "SliceGrad fails on negative steps"
    return None


def _scatter(node: ir.Node) -> str | None:
    if text(node, "reduction", "none") != "none":
        return f"the gradient of {node.op_type} takes no notice of its reduction"
    return None


def _layer_normalization(node: ir.Node) -> str | None:
    if any(value.uses() for value in node.outputs[1:]):
        return "the mean and deviation of LayerNormalization have no gradient"
    return None


FAULTS: dict[str, Fault] = {
    "Conv": _convolution,
    "LayerNormalization": _layer_normalization,
    "MaxPool": _max_pool,
    "ScatterElements": _scatter,
    "ScatterND": _scatter,
    "Slice": _slice,
}
"""By operator of the forward graph."""


def fault_of(graph: ir.Graph) -> str | None:
    """Why onnxruntime's gradient of a graph cannot be trusted; None if nothing is known against it."""
    for node in graph:
        fault = FAULTS.get(node.op_type) if node.domain == "" else None
        reason = None if fault is None else fault(node)
        if reason is not None:
            return f"{reason} ('{node.name}')"
    return None
