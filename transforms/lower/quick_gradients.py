"""Standard operators in place of those gradient operators that onnxruntime's training session is slow at."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.lower.activations import ACTIVATIONS
from svgd_onnx.transforms.lower.convolution import CONVOLUTION
from svgd_onnx.transforms.rule import apply_rule, integers


class QuickGradients(ir.passes.InPlacePass):
    """Writes two gradients with standard operators, for the target ort-training.

    ReluGrad of onnxruntime 1.19 works on one thread and branches at each element. ConvGrad works image
    by image; its input's gradient is a convolution too, for which Conv is quicker where strides are 1.
    The gradient of the weight stays with ConvGrad.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        modified = False
        for node in list(graph):
            if node.op_type == "ReluGrad":
                modified |= apply_rule(graph, node, ACTIVATIONS["ReluGrad"])
            elif node.op_type == "ConvGrad" and _has_quick_input_gradient(node):
                modified |= apply_rule(graph, _input_gradient(graph, node), CONVOLUTION["ConvGrad"])
        return ir.passes.PassResult(model, modified)


def _has_quick_input_gradient(node: ir.Node) -> bool:
    weight = node.inputs[2]
    known = weight is not None and weight.shape is not None and weight.shape.is_static()
    return known and bool(node.outputs[0].name) and set(integers(node, "strides", [1])) == {1}


def _input_gradient(graph: ir.Graph, node: ir.Node) -> ir.Node:
    """A ConvGrad of the input alone; what else the node computes stays there."""
    gradient = node.outputs[0]
    if not any(value.name for value in node.outputs[1:]):
        return node
    apart = ir.node(node.op_type, node.inputs, dict(node.attributes), domain=node.domain)
    apart.name = f"{node.name}/input"
    output = apart.outputs[0]
    output.type, output.shape = gradient.type, gradient.shape
    output.name, gradient.name = gradient.name, ""
    gradient.replace_all_uses_with(output, replace_graph_outputs=True)
    graph.insert_before(node, apart)
    return apart
