"""Give the evaluation model the parameter inputs of the training model."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir


class EvaluationInputs(ir.passes.InPlacePass):
    """Adds and orders the inputs that are in the checkpoint as the training model has them.

    onnxruntime feeds an evaluation every tensor of the checkpoint that the training model takes, in
    the training model's order (1.19, orttraining/training_api/module.cc), and never asks for
    their names. So the evaluation model has r as an input too, which nothing reads.

    Args:
        training: the training graph.
        checkpoint: names of all tensors in the checkpoint.

    Requires: of the checkpoint, the model takes no tensor that the training graph does not take.
    Ensures: both graphs take the same tensors of the checkpoint, in the same order, after all others.
    """

    def __init__(self, training: ir.Graph, checkpoint: Collection[str]) -> None:
        super().__init__()
        self._checkpoint = set(checkpoint)
        self._wanted = [value for value in training.inputs if value.name in checkpoint]

    def requires(self, model: ir.Model) -> None:
        wanted = {value.name for value in self._wanted}
        for value in model.graph.inputs:
            if value.name in self._checkpoint and value.name not in wanted:
                raise ir.passes.PreconditionError(f"training does not take '{value.name}'")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        present: dict[str | None, ir.Value | None] = {value.name: value for value in graph.inputs}
        wanted = [
            present.pop(value.name, None) or ir.val(value.name, shape=value.shape, type=value.type)
            for value in self._wanted
        ]
        inputs = [value for value in (*present.values(), *wanted) if value is not None]
        graph.inputs.clear()
        graph.inputs.extend(inputs)
        return ir.passes.PassResult(model, modified=True)

    def ensures(self, model: ir.Model) -> None:
        names = [value.name for value in model.graph.inputs]
        own = [name for name in names if name not in self._checkpoint]
        if names != own + [value.name for value in self._wanted]:
            raise ir.passes.PostconditionError("the inputs from the checkpoint differ")
