"""Outputs of Split that a model leaves out."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.bodies import all_nodes


class NameSplitOutputs(ir.passes.InPlacePass):
    """Gives names to outputs of Split that have none, of which onnxruntime dies (1.32).

    Ensures: each output of a Split has a name.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        for node in all_nodes(model.graph):
            if node.op_type != "Split" or node.domain != "":
                continue
            given = next((value.name for value in node.outputs if value.name), node.name)
            for place, value in enumerate(node.outputs):
                if not value.name:
                    value.name = f"{given}/left_out_{place}"
                    modified = True
        return ir.passes.PassResult(model, modified)
