"""Refuse to train what the loss does not depend on."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.transforms.bodies import read_by


class CheckLossDependence(ir.passes.InPlacePass):
    """Looks for a way from each parameter to the loss; changes nothing.

    Args:
        parameters: names of trainable initializers.

    Requires: the loss is the first output.
    Raises: UserError, which names the parameters that no way leads from.
    """

    def __init__(self, parameters: Sequence[str]) -> None:
        super().__init__()
        self._parameters = parameters

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        reached: set[ir.Value | None] = {graph.outputs[0]}
        for node in reversed(graph):
            if any(value in reached for value in node.outputs):
                reached.update(read_by(node))
        loose = [
            f"'{name}'" for name in self._parameters if graph.initializers[name] not in reached
        ]
        if loose:
            raise UserError(
                f"The loss does not depend on parameter {listed(loose)}: leave out with "
                f"{option('freeze')} what it does not depend on."
            )
        return ir.passes.PassResult(model, modified=False)
