"""Give every use of a shared parameter an input of its own, so that each has its own gradient."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir


class SplitParameterUses(ir.passes.InPlacePass):
    """Splits a parameter that several operations take into one input for each of them.

    This is the paper's theta_{i,j} (Fig. 3b): differentiation then gives one gradient per use,
    which `MergeParameterUses` adds up after T has acted on each. A parameter used once stays.

    Args:
        parameters: names of trainable graph inputs.

    Ensures: each trainable input, and each copy of one, has one use at most.
    After the call, `copies` maps each parameter to the inputs that stand for it.
    """

    def __init__(self, parameters: Collection[str]) -> None:
        super().__init__()
        self._parameters = list(parameters)
        self.copies: dict[str, list[str]] = {}

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        inputs = {value.name: value for value in model.graph.inputs}
        modified = False
        for name in self._parameters:
            value = inputs[name]
            uses = list(value.uses())
            if len(uses) < 2:
                self.copies[name] = [name]
                continue
            self.copies[name] = [f"{name}/use_{index}" for index in range(len(uses))]
            for copy_name, (node, position) in zip(self.copies[name], uses):
                copy = ir.val(copy_name, shape=value.shape, type=value.type)
                model.graph.inputs.append(copy)
                node.replace_input_with(position, copy)
            model.graph.inputs.remove(value)
            modified = True
        return ir.passes.PassResult(model, modified)

    def ensures(self, model: ir.Model) -> None:
        split = {copy for copies in self.copies.values() for copy in copies}
        for value in model.graph.inputs:
            if value.name in split and len(value.uses()) > 1:
                raise ir.passes.PostconditionError(f"{value.name} has several uses")
