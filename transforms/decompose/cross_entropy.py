"""Losses that are in the model already."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.rule import Rule, inputs_of, integer, text
from svgd_onnx.transforms.writer import Writer


def softmax_cross_entropy(node: ir.Node, write: Writer) -> Sequence[ir.Value | None] | None:
    """Asks for the log-probabilities, which the gradient is computed from."""
    if len(node.outputs) == 2 and node.outputs[1].name:
        return None
    attributes = {attribute.name: attribute.value for attribute in node.attributes.values()}
    return write.nodes_with("SoftmaxCrossEntropyLoss", list(node.inputs), attributes, 2)


def negative_log_likelihood(node: ir.Node, write: Writer) -> ir.Value:
    log_probabilities, labels = inputs_of(node, 2)
    weights = node.inputs[2] if len(node.inputs) > 2 else None
    axis = write.integers(1)
    share = None
    if "ignore_index" in node.attributes:
        number = write.constant(np.array(integer(node, "ignore_index", 0), np.int64))
        ignored = write.node("Equal", labels, number)
        # an ignored label may be no class at all
        labels = write.node("Where", ignored, write.constant(np.array(0, np.int64)), labels)
        share = write.node("Cast", write.node("Not", ignored), to=ir.DataType.FLOAT)
    picked = write.node(
        "GatherElements", log_probabilities, write.node("Unsqueeze", labels, axis), axis=1
    )
    each = write.node("Neg", write.node("Squeeze", picked, axis))
    if weights is not None:
        weight = write.node("Gather", weights, labels)
        share = weight if share is None else write.node("Mul", weight, share)
    if share is not None:
        each = write.node("Mul", each, share)
    reduction = text(node, "reduction", "mean")
    if reduction == "none":
        return each
    if reduction == "mean" and share is None:
        return write.node("ReduceMean", each, keepdims=0)
    total = write.node("ReduceSum", each, keepdims=0)
    if reduction == "sum" or share is None:
        return total
    return write.node("Div", total, write.node("ReduceSum", share, keepdims=0))


LOSSES: dict[str, Rule] = {
    "NegativeLogLikelihoodLoss": negative_log_likelihood,
    "SoftmaxCrossEntropyLoss": softmax_cross_entropy,
}
