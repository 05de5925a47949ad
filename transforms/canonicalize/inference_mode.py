"""Put every operator that behaves differently in training into inference mode."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.errors import UserError
from svgd_onnx.transforms.bodies import all_nodes


class InferenceMode(ir.passes.InPlacePass):
    """Turns off the training mode of BatchNormalization and Dropout.

    A model exported in training mode and one exported for inference are the same model afterwards.

    Raises:
        UserError: something reads the statistics that a BatchNormalization gives in training mode.

    Ensures: no BatchNormalization has `training_mode` 1 and no Dropout has a third input.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        for node in all_nodes(model.graph):
            rule = _RULES.get(node.op_type) if node.domain == "" else None
            modified |= rule(node) if rule else False
        return ir.passes.PassResult(model, modified)

    def ensures(self, model: ir.Model) -> None:
        for node in all_nodes(model.graph):
            mode = node.attributes.get("training_mode")
            normalizes = node.op_type == "BatchNormalization" and node.domain == ""
            if normalizes and mode is not None and mode.as_int() != 0:
                raise ir.passes.PostconditionError(f"{node.name} is in training mode")
            if node.op_type == "Dropout" and node.domain == "" and len(node.inputs) > 2:
                raise ir.passes.PostconditionError(f"{node.name} is told whether to drop")


def _batch_normalization(node: ir.Node) -> bool:
    mode = node.attributes.pop("training_mode", None)
    for output in node.outputs[1:]:
        if output.uses() or output.is_graph_output():
            raise UserError(
                f"The running statistics that BatchNormalization '{node.name}' gives in training mode "
                f"are read ('{output.name}'), and training writes them itself: export the model "
                "without that output."
            )
    if len(node.outputs) > 1:
        node.resize_outputs(1)
    return mode is not None


def _dropout(node: ir.Node) -> bool:
    if len(node.inputs) < 3:
        return False
    node.resize_inputs(2)
    return True


_RULES = {"BatchNormalization": _batch_normalization, "Dropout": _dropout}
