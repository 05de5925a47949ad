"""What onnxruntime-training 1.19.2 is known to differentiate wrongly, or dies of."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.decompose.differentiable import gradient_flow
from svgd_onnx.transforms.quantization import is_fake_quantization
from svgd_onnx.transforms.rule import constant_value, input_of, integer, rank, static_shape, text
from svgd_onnx.transforms.value_sizes import size_in_bytes

# Of a constant that its optimizer may compute.
_MOST_BYTES = 1 << 29

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


def _quantize(node: ir.Node) -> str | None:
    return "a gradient passes QuantizeLinear as if nothing were rounded or clipped"


def _scatter(node: ir.Node) -> str | None:
    if text(node, "reduction", "none") != "none":
        return f"the gradient of {node.op_type} takes no notice of its reduction"
    return None


def _layer_normalization(node: ir.Node) -> str | None:
    if any(value.uses() for value in node.outputs[1:]):
        return "the mean and deviation of LayerNormalization have no gradient"
    return None


def _with_bodies(node: ir.Node) -> str | None:
    return "control flow ends the process"


def _where(node: ir.Node) -> str | None:
    shapes = [value.shape for value in node.inputs[1:] if value and value.const_value is None]
    whole = node.outputs[0].shape
    if whole is not None and any(shape is not None and shape != whole for shape in shapes):
        return "the gradient by an operand of Where that is repeated is not summed"
    return None


def _matrix_product(node: ir.Node) -> str | None:
    left, right = (2 if value is None else rank(value) or 2 for value in node.inputs)
    if right == 1 or (left == 1 and right > 2):
        return "the gradient of MatMul by a vector is wrong, but for one before a matrix"
    return None


def _cross_entropy(node: ir.Node) -> str | None:
    if any(value.uses() for value in node.outputs[1:]):
        return "the log-probabilities of SoftmaxCrossEntropyLoss have no gradient"
    return None


FAULTS: dict[str, Fault] = {
    "Conv": _convolution,
    "If": _with_bodies,
    "LayerNormalization": _layer_normalization,
    "Loop": _with_bodies,
    "MatMul": _matrix_product,
    "MaxPool": _max_pool,
    "QuantizeLinear": _quantize,
    "Scan": _with_bodies,
    "ScatterElements": _scatter,
    "ScatterND": _scatter,
    "Slice": _slice,
    "SoftmaxCrossEntropyLoss": _cross_entropy,
    "Where": _where,
}
"""By operator of the forward graph."""


def fault_of(graph: ir.Graph, parameters: Collection[str] = ()) -> str | None:
    """Why onnxruntime's gradient of a graph cannot be trusted; None if nothing is known against it.

    Args:
        graph: the loss its first output.
        parameters: names of the inputs that it is differentiated by.
    """
    path, flowing = gradient_flow(graph, parameters, graph.outputs[:1])
    for node in path:
        if node.op_type == "Split" and not flowing.issuperset(node.outputs):
            return f"SplitGrad leaves out outputs of which no gradient comes ('{node.name}')"
    for node in graph:
        if all(value is None or value.is_initializer() for value in node.inputs) and (
            sum(map(size_in_bytes, node.outputs)) > _MOST_BYTES
        ):
            return f"constants are computed, however large they are ('{node.name}')"
        if is_fake_quantization(node):
            return f"no gradient goes straight through a quantization ('{node.name}')"
        fault = FAULTS.get(node.op_type) if node.domain == "" else None
        reason = None if fault is None else fault(node)
        if reason is not None:
            return f"{reason} ('{node.name}')"
    return None
