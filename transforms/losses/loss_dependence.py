"""Whether the loss depends on what is to be trained."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from svgd_onnx.errors import UserError, option


class CheckLossDependence(ir.passes.InPlacePass):
    """Refuses parameters that the loss does not depend on; changes nothing.

    Args:
        parameters: names of initializers.

    Requires: the loss is the first output, and each parameter an initializer.
    """

    def __init__(self, parameters: Sequence[str]) -> None:
        super().__init__()
        self._parameters = parameters

    def requires(self, model: ir.Model) -> None:
        missing = [name for name in self._parameters if name not in model.graph.initializers]
        if missing or not model.graph.outputs:
            raise ir.passes.PreconditionError(f"no loss, or not initializers: {missing}")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        reached: set[ir.Value | None] = {graph.outputs[0]}
        for node in reversed(graph):
            if any(value in reached for value in node.outputs):
                reached.update(node.inputs)
        loose = [name for name in self._parameters if graph.initializers[name] not in reached]
        if loose:
            raise UserError(
                f"The loss does not depend on parameter '{loose[0]}'"
                + (f" and {len(loose) - 1} more" if len(loose) > 1 else "")
                + f": leave it out with {option('freeze')}."
            )
        return ir.passes.PassResult(model, modified=False)
