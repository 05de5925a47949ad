"""Undo the split of shared parameters: one input again, and the sum of its gradients."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import onnx_ir as ir

from svgd_onnx.transforms.names import gradient_name
from svgd_onnx.transforms.writer import Writer


class MergeParameterUses(ir.passes.InPlacePass):
    """Makes each parameter one graph input and adds up the gradients of its uses.

    Args:
        copies: trainable parameter -> the inputs that `SplitParameterUses` made of it.

    Requires: each copy is an input and its gradient an output.
    Ensures: each parameter is an input, its gradient an output, its copies neither.
    """

    def __init__(self, copies: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self._copies = {name: list(copy) for name, copy in copies.items() if len(copy) > 1}

    def requires(self, model: ir.Model) -> None:
        inputs = {value.name for value in model.graph.inputs}
        outputs = {value.name for value in model.graph.outputs}
        for copy in itertools.chain.from_iterable(self._copies.values()):
            if copy not in inputs or gradient_name(copy) not in outputs:
                raise ir.passes.PreconditionError(f"'{copy}' is no input, or has no gradient")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        inputs = {value.name: value for value in graph.inputs}
        outputs = {value.name: value for value in graph.outputs}
        for name, copies in self._copies.items():
            first = inputs[copies[0]]
            parameter = ir.val(name, shape=first.shape, type=first.type)
            graph.inputs.append(parameter)
            for copy in copies:
                inputs[copy].replace_all_uses_with(parameter)
                graph.inputs.remove(inputs[copy])
            gradients = [outputs[gradient_name(copy)] for copy in copies]
            write = Writer(gradient_name(name), graph.opset_imports[""])
            total = write.node("Sum", *gradients)
            total.name, total.type, total.shape = gradient_name(name), first.type, first.shape
            write.append_to(graph)
            for gradient in gradients:
                graph.outputs.remove(gradient)
            graph.outputs.append(total)
        return ir.passes.PassResult(model, modified=bool(self._copies))

    def ensures(self, model: ir.Model) -> None:
        inputs = {value.name for value in model.graph.inputs}
        outputs = {value.name for value in model.graph.outputs}
        for name, copies in self._copies.items():
            if name not in inputs or gradient_name(name) not in outputs:
                raise ir.passes.PostconditionError(f"'{name}' is not whole again")
            if inputs.intersection(copies) or outputs.intersection(map(gradient_name, copies)):
                raise ir.passes.PostconditionError(f"a copy of '{name}' is left")
