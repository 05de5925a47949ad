"""Reverse-mode differentiation: the gradient graph behind a forward graph, by rules of our own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from svgd_onnx.transforms.bodies import name_apart
from svgd_onnx.transforms.canonicalize.fold_constants import FoldConstants
from svgd_onnx.transforms.canonicalize.infer_shapes import InferShapes
from svgd_onnx.transforms.decompose.differentiable import gradient_flow
from svgd_onnx.transforms.differentiate.control_flow import BODY_RULES
from svgd_onnx.transforms.differentiate.differentiable_form import (
    check_gradients,
    differentiable_form,
)
from svgd_onnx.transforms.differentiate.gradients import GRADIENTS, PREPARED
from svgd_onnx.transforms.differentiate.gradients.sizes import shape_of
from svgd_onnx.transforms.differentiate.graph_pass import GraphPass
from svgd_onnx.transforms.differentiate.keep_statistics import KeepStatistics
from svgd_onnx.transforms.differentiate.obstacles import obstacles_error
from svgd_onnx.transforms.lower.lowering import TRAINING_DOMAIN
from svgd_onnx.transforms.names import gradient_name
from svgd_onnx.transforms.rule import RefusedError
from svgd_onnx.transforms.writer import Writer


class ReverseMode(ir.passes.InPlacePass):
    """Extends a forward graph by the gradients of its first output, the loss.

    From the loss down, each node's rule makes of the gradients of its outputs those of its inputs. What
    several nodes read has the sum of what comes back from each. Only what leads to a parameter is
    differentiated.

    Args:
        parameters: names of inputs.

    Requires: each operator on the way has a rule; each value has a name.
    Ensures: the gradient of a value y on the way is called y_grad, and is of its type and shape; those of
        the parameters are outputs after the loss; that of the loss, 1, is an initializer.
    After the call, `refusals` says of each node that its rule could not differentiate why.
    """

    def __init__(self, parameters: Collection[str]) -> None:
        super().__init__()
        self._parameters = parameters
        self.refusals: dict[ir.Node, str] = {}

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        path, flowing = gradient_flow(graph, self._parameters, graph.outputs[:1])
        backward = GraphPass(graph, flowing, BODY_RULES)
        backward.start(graph.outputs[0], _one(graph))
        for node in reversed(path):
            try:
                backward.differentiate(node)
            except RefusedError as refused:
                self.refusals[node] = str(refused)
        for value in graph.inputs:
            if value.name in self._parameters:
                gradient = backward.gradient(value)
                if gradient is not None:
                    graph.outputs.append(gradient)
        graph.opset_imports.setdefault(TRAINING_DOMAIN, 1)
        common.RemoveUnusedNodesPass()(model)
        return ir.passes.PassResult(model, modified=True)


def _one(graph: ir.Graph) -> ir.Value:
    """The gradient of the loss by itself."""
    name = gradient_name(graph.outputs[0].name or "")
    one = ir.val(name, const_value=ir.tensor(np.array(1, np.float32), name=name))
    graph.register_initializer(one)
    return one


def differentiate_in_reverse(forward: ir.Model, copies: Mapping[str, Sequence[str]]) -> ir.Model:
    """Extends a forward graph by its gradient graph, by rules of our own.

    Args:
        forward: training mode, the loss its first output, parameters as inputs, each used once. It
            stays as it is.
        copies: trainable parameter -> the inputs that stand for it.

    Returns:
        The gradient graph, which has `gradient_name(x)` as an output for each input x in `copies`.

    Raises:
        UserError: operators on the way have no gradient; the message names them and their nodes.
    """
    differentiable = GRADIENTS.keys() | BODY_RULES.keys()
    model = differentiable_form(forward, copies, differentiable, differentiable - PREPARED)
    KeepStatistics()(model)
    InferShapes()(model)
    # a size that is known makes shapes known, and these more sizes
    while _has_unknown_rank(model.graph) and FoldConstants(sizes=True)(model).modified:
        InferShapes()(model)
    reverse = ReverseMode([name for inputs in copies.values() for name in inputs])
    reverse(model)
    if reverse.refusals:
        raise obstacles_error(list(reverse.refusals), copies, reverse.refusals)
    _add_zeros(model.graph, copies)
    check_gradients(model.graph, forward.graph, copies)
    name_apart(model.graph)
    return model


def _has_unknown_rank(graph: ir.Graph) -> bool:
    return any(value.shape is None for node in graph for value in node.outputs if value.uses())


def _add_zeros(graph: ir.Graph, copies: Mapping[str, Sequence[str]]) -> None:
    """Gives gradients of 0 to uses of a parameter that pass none on, where other uses of it do."""
    outputs = {value.name for value in graph.outputs}
    inputs = {value.name: value for value in graph.inputs}
    for uses in copies.values():
        without = [name for name in uses if gradient_name(name) not in outputs]
        if len(without) == len(uses):
            continue
        for name in without:
            write = Writer(gradient_name(name), graph.opset_imports[""])
            zeros = write.node("ConstantOfShape", shape_of(write, inputs[name]))
            zeros.name, zeros.type = gradient_name(name), inputs[name].type
            zeros.shape = inputs[name].shape
            write.append_to(graph)
            graph.outputs.append(zeros)
