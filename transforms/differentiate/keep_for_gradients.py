"""Let forward operators give what their gradients read, so that nothing is computed twice."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.lower.lowering import TRAINING_DOMAIN


class KeepForGradients(ir.passes.InPlacePass):
    """Gives MaxPool the places of its maxima as an output, Dropout its mask, BatchNormalization its statistics.

    BatchNormalization in training mode becomes `com.microsoft::BatchNormInternal`, whose outputs are y,
    the new running mean and variance, and the batch's mean and 1 / standard deviation.

    Ensures: no BatchNormalization of the default domain is in training mode.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        modified = False
        for node in list(graph):
            if node.domain == "" and node.op_type == "MaxPool" and len(node.outputs) < 2:
                node.resize_outputs(2)
                places = node.outputs[1]
                places.name = f"{node.outputs[0].name}/places"
                places.dtype, places.shape = ir.DataType.INT64, node.outputs[0].shape
                modified = True
            elif node.domain == "" and node.op_type == "Dropout" and len(node.outputs) < 2:
                node.resize_outputs(2)
                mask = node.outputs[1]
                mask.name = f"{node.outputs[0].name}/mask"
                mask.dtype, mask.shape = ir.DataType.BOOL, node.outputs[0].shape
                modified = True
            elif _trains(node):
                _keep_statistics(graph, node)
                modified = True
        if modified:
            graph.opset_imports.setdefault(TRAINING_DOMAIN, 1)
        return ir.passes.PassResult(model, modified)

    def ensures(self, model: ir.Model) -> None:
        if any(_trains(node) for node in model.graph):
            raise ir.passes.PostconditionError("a BatchNormalization does not give its statistics")


def _trains(node: ir.Node) -> bool:
    mode = node.attributes.get("training_mode")
    of_batch = node.domain == "" and node.op_type == "BatchNormalization"
    return of_batch and mode is not None and mode.as_int() == 1


def _keep_statistics(graph: ir.Graph, node: ir.Node) -> None:
    node.domain, node.op_type = TRAINING_DOMAIN, "BatchNormInternal"
    node.resize_outputs(5)
    scale = node.inputs[1]
    assert scale is not None
    # onnxruntime's kernel writes them all
    what = ("running_mean", "running_variance", "mean", "inverse_deviation")
    for output, name in zip(node.outputs[1:], what):
        output.name = output.name or f"{node.outputs[0].name}/{name}"
        output.type, output.shape = scale.type, scale.shape
