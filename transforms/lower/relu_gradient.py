"""Relu's gradient in a training session, with standard operators."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.lower.activations import ACTIVATIONS
from svgd_onnx.transforms.rule import apply_rule

_OP_TYPE = "ReluGrad"


class LowerReluGradient(ir.passes.InPlacePass):
    """Replaces ReluGrad for the target ort-training, which could run it.

    onnxruntime 1.19's kernel works on one thread and branches at each element: it took a tenth of a
    step of the paper's convolutional networks.

    Ensures: no ReluGrad is left.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        nodes = [node for node in all_nodes(model.graph) if node.op_type == _OP_TYPE]
        for node in nodes:
            assert isinstance(node.graph, ir.Graph)
            apply_rule(node.graph, node, ACTIVATIONS[_OP_TYPE].rule)
        return ir.passes.PassResult(model, modified=bool(nodes))

    def ensures(self, model: ir.Model) -> None:
        if any(node.op_type == _OP_TYPE for node in all_nodes(model.graph)):
            raise ir.passes.PostconditionError("a ReluGrad is left")
