"""Reverse-mode differentiation: the gradient graph behind a forward graph, by rules of our own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from svgd_onnx.transforms.canonicalize.fold_constants import FoldConstants
from svgd_onnx.transforms.canonicalize.infer_shapes import InferShapes
from svgd_onnx.transforms.decompose.differentiable import gradient_flow
from svgd_onnx.transforms.differentiate.differentiable_form import (
    check_gradients,
    differentiable_form,
)
from svgd_onnx.transforms.differentiate.gradients import GRADIENTS, Backward
from svgd_onnx.transforms.differentiate.gradients.sizes import shape_of
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
        path, flowing = gradient_flow(graph, self._parameters)
        backward = _BackwardPass(graph, flowing)
        backward.seed(graph.outputs[0])
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


class _BackwardPass:
    """The gradient nodes of one graph, written from the loss down.

    Args:
        graph: the forward graph; gradient nodes are added at its end.
        flowing: the values on the way from a parameter to the loss.
    """

    def __init__(self, graph: ir.Graph, flowing: Collection[ir.Value | None]) -> None:
        self._graph = graph
        self._flowing = flowing
        self._opset = graph.opset_imports[""]
        self._parts: dict[ir.Value, list[ir.Value]] = defaultdict(list)
        self._whole: dict[ir.Value, ir.Value | None] = {}
        self._named: set[ir.Value] = set()

    def seed(self, loss: ir.Value) -> None:
        """The gradient of the loss by itself."""
        name = gradient_name(loss.name or "")
        one = ir.val(name, const_value=ir.tensor(np.array(1, np.float32), name=name))
        self._graph.register_initializer(one)
        self._named.add(one)
        self._whole[loss] = one

    def gradient(self, value: ir.Value) -> ir.Value | None:
        """The gradient of a value, all parts of which have been written; None if nothing comes back."""
        if value not in self._whole:
            self._whole[value] = self._sum(value, self._parts.pop(value, []))
        return self._whole[value]

    def differentiate(self, node: ir.Node) -> None:
        """Writes the gradients of a node's inputs."""
        gradients = tuple(self.gradient(value) for value in node.outputs)
        if all(gradient is None for gradient in gradients):
            return
        wanted = tuple(value in self._flowing for value in node.inputs)
        write = Writer(f"{node.outputs[0].name or node.name}/backward", self._opset)
        try:
            found = GRADIENTS[node.op_type](Backward(node, gradients, wanted, write))
        except RefusedError:
            write.withdraw()
            raise
        write.append_to(self._graph)
        for value, gradient in zip(node.inputs, found):
            if value is not None and gradient is not None and value in self._flowing:
                if gradient.shape is None:
                    gradient.type, gradient.shape = value.type, value.shape
                self._parts[value].append(gradient)

    def _sum(self, value: ir.Value, parts: Sequence[ir.Value]) -> ir.Value | None:
        if not parts:
            return None
        name = gradient_name(value.name or "")
        write = Writer(f"{name}/sum", self._opset)
        if len(parts) > 1:
            whole = write.node("Sum", *parts)
        elif parts[0] in self._named:
            # one gradient for two values: each has a name of its own
            whole = write.node("Identity", parts[0])
        else:
            whole = parts[0]
        write.append_to(self._graph)
        self._named.add(whole)
        whole.name, whole.type, whole.shape = name, value.type, value.shape
        return whole


# Operators with a rule of which some kinds, or what their gradient reads, are written by a decomposition.
_PREPARED = frozenset(
    {"AveragePool", "Conv", "Einsum", "LayerNormalization", "Pad", "SoftmaxCrossEntropyLoss"}
)


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
    model = differentiable_form(forward, copies, GRADIENTS, GRADIENTS.keys() - _PREPARED)
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
