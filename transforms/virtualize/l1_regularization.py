"""L1 weight decay: the gradient of lambda * sum |w|."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.differentiate.gradient_graph import gradient_name


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

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        inputs = {value.name: value for value in graph.inputs}
        positions = {value.name: index for index, value in enumerate(graph.outputs)}
        strength = ir.val(
            "svgd.l1", const_value=ir.tensor(np.array(self._strength, np.float32), name="svgd.l1")
        )
        graph.register_initializer(strength)
        for name in self._parameters:
            position = positions[gradient_name(name)]
            gradient = graph.outputs[position]
            sign = ir.node("Sign", [inputs[name]], name=f"svgd.l1/{name}/Sign")
            decay = ir.node("Mul", [sign.outputs[0], strength], name=f"svgd.l1/{name}/Mul")
            total = ir.node("Add", [gradient, decay.outputs[0]], name=f"svgd.l1/{name}/Add")
            gradient.name = f"svgd.l1/{name}/without"
            total.outputs[0].name = gradient_name(name)
            total.outputs[0].type, total.outputs[0].shape = gradient.type, gradient.shape
            graph.extend([sign, decay, total])
            graph.outputs[position] = total.outputs[0]
        return ir.passes.PassResult(model, modified=bool(self._parameters))
