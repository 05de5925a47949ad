"""Make of several losses the one that is trained by."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from svgd_onnx.step_names import LOSS
from svgd_onnx.transforms.passes import require_outputs
from svgd_onnx.transforms.writer import Writer


class SumLosses(ir.passes.InPlacePass):
    """Adds the weighted sum of losses as the first output, and puts them behind all others.

    Args:
        weights: of each loss, by the name of its output.

    Requires: they are outputs, float32 scalars.
    Ensures: the first output is the scalar float32 `svgd.loss`, the last are those losses, in the order of
        `weights`.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        self._weights = weights

    def requires(self, model: ir.Model) -> None:
        require_outputs(model, list(self._weights))

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        outputs = {value.name or "": value for value in graph.outputs}
        terms = [outputs.pop(name) for name in self._weights]
        write = Writer(f"{LOSS}/sum", graph.opset_imports[""])
        weighted = [
            write.node("Mul", term, write.scalar(weight))
            for term, weight in zip(terms, self._weights.values())
        ]
        total = weighted[0]
        for each in weighted[1:]:
            total = write.node("Add", total, each)
        total.name, total.dtype, total.shape = LOSS, ir.DataType.FLOAT, ir.Shape([])
        for each in weighted:
            each.dtype, each.shape = ir.DataType.FLOAT, ir.Shape([])
        write.append_to(graph)
        graph.outputs.clear()
        graph.outputs.extend([total, *outputs.values(), *terms])
        return ir.passes.PassResult(model, modified=True)

    def ensures(self, model: ir.Model) -> None:
        names = [value.name for value in model.graph.outputs]
        if names[0] != LOSS or names[-len(self._weights) :] != list(self._weights):
            raise ir.passes.PostconditionError("the losses are not where they should be")
