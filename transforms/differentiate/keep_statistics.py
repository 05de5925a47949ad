"""Let BatchNormalization give the statistics that its gradient reads, so that they are not computed twice."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.lower.lowering import TRAINING_DOMAIN
from svgd_onnx.transforms.rule import integer


class KeepStatistics(ir.passes.InPlacePass):
    """BatchNormalization in training mode becomes `com.microsoft::BatchNormInternal`.

    Its outputs are y, the new running mean and variance, and the batch's mean and 1 / standard deviation.

    Ensures: no BatchNormalization of the default domain is in training mode.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        training = [node for node in model.graph if _trains(node)]
        for node in training:
            _keep_statistics(node)
        if training:
            model.graph.opset_imports.setdefault(TRAINING_DOMAIN, 1)
        return ir.passes.PassResult(model, bool(training))

    def ensures(self, model: ir.Model) -> None:
        if any(_trains(node) for node in model.graph):
            raise ir.passes.PostconditionError("a BatchNormalization does not give its statistics")


def _trains(node: ir.Node) -> bool:
    of_batch = node.domain == "" and node.op_type == "BatchNormalization"
    return of_batch and integer(node, "training_mode", 0) == 1


def _keep_statistics(node: ir.Node) -> None:
    node.domain, node.op_type = TRAINING_DOMAIN, "BatchNormInternal"
    node.resize_outputs(5)
    scale = node.inputs[1]
    assert scale is not None
    # onnxruntime's kernel writes them all
    what = ("running_mean", "running_variance", "mean", "inverse_deviation")
    for output, name in zip(node.outputs[1:], what):
        output.name = output.name or f"{node.outputs[0].name}/{name}"
        output.type, output.shape = scale.type, scale.shape
