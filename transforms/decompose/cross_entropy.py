"""Cross-entropy that is in the model already, of logits or of log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from svgd_onnx.transforms.rule import (
    Rule,
    attributes_of,
    constant_value,
    input_of,
    inputs_of,
    integer,
    text,
)
from svgd_onnx.transforms.writer import Writer


def softmax_cross_entropy(node: ir.Node, write: Writer) -> Sequence[ir.Value | None] | None:
    """Asks for the log-probabilities, which the gradient is computed from.

    Weights of classes that are no constants may want a gradient too, and are written out.
    """
    weights = input_of(node, 2)
    if weights is not None and constant_value(weights) is None:
        logits, labels = inputs_of(node, 2)
        log_probabilities = write.node("LogSoftmax", logits, axis=1)
        return [_likelihood(node, write, log_probabilities, labels, weights), log_probabilities]
    if len(node.outputs) == 2 and node.outputs[1].name:
        return None
    attributes = attributes_of(node)
    return write.nodes_with("SoftmaxCrossEntropyLoss", list(node.inputs), attributes, 2)


def negative_log_likelihood(node: ir.Node, write: Writer) -> ir.Value:
    log_probabilities, labels = inputs_of(node, 2)
    return _likelihood(node, write, log_probabilities, labels, input_of(node, 2))


def _likelihood(
    node: ir.Node,
    write: Writer,
    log_probabilities: ir.Value,
    labels: ir.Value,
    weights: ir.Value | None,
) -> ir.Value:
    """The loss of log-probabilities, by the attributes of a node."""
    axis = write.integers(1)
    share = None
    if "ignore_index" in node.attributes:
        number = write.integer(integer(node, "ignore_index", 0))
        ignored = write.node("Equal", labels, number)
        # an ignored label may be no class at all
        labels = write.node("Where", ignored, write.integer(0), labels)
        share = write.cast(write.node("Not", ignored), "float32")
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


CROSS_ENTROPY: dict[str, Rule] = {
    "NegativeLogLikelihoodLoss": negative_log_likelihood,
    "SoftmaxCrossEntropyLoss": softmax_cross_entropy,
}
