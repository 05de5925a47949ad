"""Move parameters out of the graph, to where a session can update them."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir


class ParametersAsInputs(ir.passes.InPlacePass):
    """Turns the named initializers into graph inputs, after the model's own.

    The graph loses their values: keep those elsewhere (a checkpoint).

    Args:
        names: which initializers, in the order that the inputs are to have.

    Requires: each name is an initializer.
    Ensures: each name is an input and no longer an initializer.
    """

    def __init__(self, names: Collection[str]) -> None:
        super().__init__()
        self._names = list(names)

    def requires(self, model: ir.Model) -> None:
        missing = [name for name in self._names if name not in model.graph.initializers]
        if missing:
            raise ir.passes.PreconditionError(f"not initializers: {missing}")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        for name in self._names:
            value = model.graph.initializers.pop(name)
            tensor = value.const_value
            assert tensor is not None
            value.dtype, value.shape = tensor.dtype, ir.Shape(tensor.shape.numpy())
            value.const_value = None
            model.graph.inputs.append(value)
        return ir.passes.PassResult(model, modified=bool(self._names))

    def ensures(self, model: ir.Model) -> None:
        inputs = {value.name for value in model.graph.inputs}
        if not inputs.issuperset(self._names):
            raise ir.passes.PostconditionError("a parameter is not an input")
        if any(name in model.graph.initializers for name in self._names):
            raise ir.passes.PostconditionError("a parameter is still an initializer")
