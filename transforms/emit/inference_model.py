"""The trained model as plain ONNX: the evaluation model without its loss, with its weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common


class InferenceModel(ir.passes.InPlacePass):
    """Takes the loss and its target away and puts the parameters in as initializers.

    Args:
        parameters: trained values by name.
        inputs: names of the model's own inputs.
        loss: name of the loss output.

    Requires: each parameter and each of the model's own inputs is a graph input, the loss an output.
    Ensures: the inputs are the model's own; the loss is no output any more.
    """

    def __init__(
        self, parameters: Mapping[str, np.ndarray], inputs: Collection[str], loss: str
    ) -> None:
        super().__init__()
        self._parameters = parameters
        self._loss = loss
        self._inputs = inputs

    def requires(self, model: ir.Model) -> None:
        missing = {*self._parameters, *self._inputs} - {value.name for value in model.graph.inputs}
        if missing:
            raise ir.passes.PreconditionError(f"not graph inputs: {missing}")
        if self._loss not in {value.name for value in model.graph.outputs}:
            raise ir.passes.PreconditionError("the loss is not an output")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        inputs = {value.name: value for value in graph.inputs}
        outputs = [value for value in graph.outputs if value.name != self._loss]
        graph.outputs.clear()
        graph.outputs.extend(outputs)
        common.RemoveUnusedNodesPass()(model)
        kept = [value for value in graph.inputs if value.name in self._inputs]
        graph.inputs.clear()
        graph.inputs.extend(kept)
        for name, array in self._parameters.items():
            value = inputs[name]
            value.const_value = ir.tensor(array, name=name)
            graph.register_initializer(value)
        common.RemoveUnusedNodesPass()(model)
        return ir.passes.PassResult(model, modified=True)

    def ensures(self, model: ir.Model) -> None:
        graph = model.graph
        if {value.name for value in graph.inputs} != set(self._inputs):
            raise ir.passes.PostconditionError("the graph still asks for more than its data")
        if self._loss in {value.name for value in graph.outputs}:
            raise ir.passes.PostconditionError("the loss is still an output")
