"""The gradient of SoftmaxCrossEntropyLoss."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.lower.lowering import Lowering
from svgd_onnx.transforms.rule import RefusedError, input_of, inputs_of, text
from svgd_onnx.transforms.writer import Writer


def _gradient(node: ir.Node, write: Writer) -> ir.Value:
    """(softmax - one_hot(label)) weight[label] dL, over the sum of weights if L is a mean."""
    gradient, log_probability, label = inputs_of(node, 3)
    weights = input_of(node, 3)
    ignored = node.attributes.get("ignore_index")
    reduction = text(node, "reduction", "mean")
    if len(node.inputs) > 4:
        raise RefusedError("its ignore_index is an input")
    classes = write.node("Shape", log_probability, start=1, end=2)
    share: ir.Value | None = None  # of each label in the loss
    if ignored is not None:
        counted = write.node("Not", write.node("Equal", label, write.integer(ignored.as_int())))
        share = write.cast(counted, "float32")
        # A label that is ignored may be no class at all.
        label = write.node("Mul", label, write.cast(counted, "int64"))
    if weights is not None:
        weight = write.node("Gather", weights, label)
        share = weight if share is None else write.node("Mul", share, weight)
    one_hot = write.node(
        "OneHot", label, classes, write.constant(np.array([0, 1], np.float32)), axis=1
    )
    difference = write.node("Sub", write.node("Exp", log_probability), one_hot)
    if reduction == "mean":
        if share is None:
            total = write.cast(write.count(label), "float32")
        else:
            total = write.node("ReduceSum", share, keepdims=0)
            # Where nothing counts the loss is 0, not 0 / 0.
            none = write.node("Equal", total, write.scalar(0))
            total = write.node("Add", total, write.cast(none, "float32"))
        gradient = write.node("Div", gradient, total)
    if reduction == "none":
        gradient = write.node("Unsqueeze", gradient, write.integers(1))
    if share is not None:
        difference = write.node(
            "Mul", difference, write.node("Unsqueeze", share, write.integers(1))
        )
    return write.node("Mul", difference, gradient)


CROSS_ENTROPY: dict[str, Lowering] = {"SoftmaxCrossEntropyLossGrad": Lowering(_gradient)}
