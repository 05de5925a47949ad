"""L1 weight decay: the gradient of lambda * sum |w|."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from svgd_onnx.transforms.names import gradient_name
from svgd_onnx.transforms.writer import Writer, take_place


class L1Regularization(ir.passes.InPlacePass):
    """Adds lambda * sign(w) to the gradients of the named parameters.

    It comes after T, as in the paper's experiments: the penalty's own gradient is not virtual. The
    loss that the graph reports stays without the penalty.

    Args:
        parameters: which parameters; the paper leaves out those of BatchNormalization.
        strength: lambda, >= 0.

    Requires: each parameter is an input and its gradient an output.
    """

    def __init__(self, parameters: Collection[str], strength: float) -> None:
        super().__init__()
        self._parameters = list(parameters)
        self._strength = strength

    def requires(self, model: ir.Model) -> None:
        inputs = {value.name for value in model.graph.inputs}
        outputs = {value.name for value in model.graph.outputs}
        for name in self._parameters:
            if name not in inputs or gradient_name(name) not in outputs:
                raise ir.passes.PreconditionError(f"'{name}' is no input, or has no gradient")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        inputs = {value.name: value for value in graph.inputs}
        positions = {value.name: index for index, value in enumerate(graph.outputs)}
        write = Writer("svgd.l1", graph.opset_imports[""])
        strength = write.scalar(self._strength)
        for name in self._parameters:
            position = positions[gradient_name(name)]
            gradient = graph.outputs[position]
            decay = write.node("Mul", write.node("Sign", inputs[name]), strength)
            total = write.node("Add", gradient, decay)
            take_place(total, gradient)
            graph.outputs[position] = total
        write.append_to(graph)
        return ir.passes.PassResult(model, modified=bool(self._parameters))
