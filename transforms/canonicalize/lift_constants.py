"""Constant nodes as initializers, which remember where they come from."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

# In the metadata of an initializer: that an exporter wrote it as a Constant node.
LIFTED = "svgd.lifted"


class LiftConstants(ir.passes.InPlacePass):
    """Turns the Constant nodes of a graph into initializers.

    Their tensors take the values' names: an exporter may have given them names of their own.

    Ensures: the metadata of what came from a Constant node says so.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        before = set(model.graph.initializers)
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
        lifted = [value for name, value in model.graph.initializers.items() if name not in before]
        for value in lifted:
            value.meta[LIFTED] = True
            if value.const_value is not None:
                value.const_value.name = value.name
        return ir.passes.PassResult(model, modified=bool(lifted))
