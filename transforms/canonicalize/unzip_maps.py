"""Outputs that are maps of probabilities, as skl2onnx writes them."""

from __future__ import annotations

import onnx_ir as ir


class UnzipMaps(ir.passes.InPlacePass):
    """Gives the tensor that a ZipMap makes its maps of, instead of the maps.

    Ensures: no output is that of a ZipMap.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        outputs: dict[ir.Value, None] = {}
        for output in model.graph.outputs:
            node = output.producer()
            zipped = node is not None and node.op_type == "ZipMap" and node.domain == "ai.onnx.ml"
            tensor = node.inputs[0] if zipped and node is not None else None
            outputs[output if tensor is None else tensor] = None
        modified = list(outputs) != list(model.graph.outputs)
        if modified:
            model.graph.outputs[:] = list(outputs)
        return ir.passes.PassResult(model, modified)
