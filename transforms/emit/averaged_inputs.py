"""Have the evaluation model read averages of parameters."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from svgd_onnx.records import AVERAGE
from svgd_onnx.transforms.names import rename


class AveragedInputs(ir.passes.InPlacePass):
    """Gives inputs of the evaluation model the names of the averages of the parameters that they are.

    So every program that runs it evaluates averages, and can give it the parameters in their place.

    Args:
        parameters: those that have an average.
    """

    def __init__(self, parameters: Collection[str]) -> None:
        super().__init__()
        self._parameters = frozenset(parameters)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        averaged = [value for value in model.graph.inputs if value.name in self._parameters]
        for value in averaged:
            rename(value, f"{value.name}.{AVERAGE}")
        return ir.passes.PassResult(model, modified=bool(averaged))
