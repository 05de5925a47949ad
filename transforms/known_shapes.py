"""Shapes of values of the backward pass, which passes to fast operators ask for the number of axes."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.canonicalize.infer_shapes import InferShapes

# Operators of other domains whose first output is as their first input.
_AS_ITS_FIRST_INPUT = frozenset(
    {"BatchNormInternal", "BatchNormalizationGrad", "EluGrad", "GeluGrad", "LeakyReluGrad"}
    | {"LogSoftmaxGrad_13", "ReluGrad", "Scale", "SigmoidGrad", "SoftmaxGrad_13", "TanhGrad"}
    | {"VirtualGradient"}
)


def infer_shapes(model: ir.Model) -> None:
    """Notes the shapes of all values, as far as they follow."""
    InferShapes()(model)
    while _infer_others(model.graph):
        InferShapes()(model)


def _infer_others(graph: ir.Graph) -> bool:
    found = False
    for node in graph:
        if node.domain == "" or node.op_type not in _AS_ITS_FIRST_INPUT:
            continue
        first, output = node.inputs[0], node.outputs[0]
        if first is not None and first.shape is not None and output.shape is None:
            output.shape, output.type = first.shape.copy(), first.type
            found = True
    return found
