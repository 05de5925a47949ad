"""Convolutions, pooling, normalizations, Dropout and cross-entropy, of which the training set has gradients."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule, Gradients
from svgd_onnx.transforms.rule import RefusedError, input_of, inputs_of, integer, known_rank, number


def _attributes(node: ir.Node) -> dict[str, Any]:
    return {attribute.name: attribute.value for attribute in node.attributes.values()}


def conv(back: Backward) -> Gradients:
    x, weight = inputs_of(back.node, 2)
    outputs = back.training(
        "ConvGrad", back.dy, x, weight, outputs=len(back.node.inputs), **_attributes(back.node)
    )
    for value, wanted in zip(outputs, back.wanted):
        if not wanted:
            value.name = ""  # what has no name is not computed
    return [value if wanted else None for value, wanted in zip(outputs, back.wanted)]


def max_pool(back: Backward) -> Gradients:
    """From the places of the maxima, which the second output says."""
    if integer(back.node, "storage_order", 0):
        raise RefusedError("its places are counted by columns")
    places = back.node.outputs[1]
    return back.write.nodes_with("MaxPoolGrad", [back.dy, places], _attributes(back.node), 1)


def batch_normalization(back: Backward) -> Gradients:
    """By the statistics of the batch, which the last two outputs hold."""
    x, scale = inputs_of(back.node, 2)
    mean, deviation = back.node.outputs[3:5]
    return back.training(
        "BatchNormalizationGrad", back.dy, x, scale, mean, deviation, outputs=3,
        epsilon=number(back.node, "epsilon", 1e-5),
    )  # fmt: skip


def frozen_batch_normalization(back: Backward) -> Gradients:
    """By statistics that are constants: a scale and a shift for each channel."""
    x, scale, _, mean, variance = inputs_of(back.node, 5)
    write, rank = back.write, known_rank(back.x)
    others = [0, *range(2, rank)]
    inverse = write.node(
        "Reciprocal",
        write.node(
            "Sqrt", write.node("Add", variance, write.scalar(number(back.node, "epsilon", 1e-5)))
        ),
    )

    def channels(value: ir.Value) -> ir.Value:
        return (
            write.node("Unsqueeze", value, write.integers(*range(1, rank - 1)))
            if rank > 2
            else value
        )

    def of_scale() -> ir.Value:
        normalized = write.node("Mul", write.node("Sub", x, channels(mean)), channels(inverse))
        return write.reduce(
            "ReduceSum", write.node("Mul", back.dy, normalized), others, keepdims=False
        )

    return back.each(
        lambda: write.node("Mul", back.dy, channels(write.node("Mul", scale, inverse))),
        of_scale,
        lambda: write.reduce("ReduceSum", back.dy, others, keepdims=False),
    )


def layer_normalization(back: Backward) -> Gradients:
    x, scale = inputs_of(back.node, 2)
    _, mean, inverse = back.node.outputs
    if any(gradient is not None for gradient in back.gradients[1:]):
        raise RefusedError("its mean or deviation is used")
    axis = integer(back.node, "axis", -1)
    return back.training(
        "LayerNormalizationGrad",
        back.dy,
        x,
        scale,
        mean,
        inverse,
        outputs=len(back.node.inputs),
        axis=axis,
    )


def dropout(back: Backward) -> Gradients:
    ratio = input_of(back.node, 1)
    return back.training("DropoutGrad", back.dy, back.node.outputs[1], ratio)


def softmax_cross_entropy(back: Backward) -> Gradients:
    """From the log-probabilities, which the second output holds."""
    _, *others = inputs_of(back.node, len(back.node.inputs))
    if back.gradients[1] is not None:
        raise RefusedError("its log-probabilities are used")
    return back.training(
        "SoftmaxCrossEntropyLossGrad",
        back.dy,
        back.node.outputs[1],
        *others,
        **_attributes(back.node),
    )


LAYERS: dict[str, GradientRule] = {
    "BatchNormInternal": batch_normalization,
    "BatchNormalization": frozen_batch_normalization,
    "Conv": conv,
    "Dropout": dropout,
    "LayerNormalization": layer_normalization,
    "MaxPool": max_pool,
    "SoftmaxCrossEntropyLoss": softmax_cross_entropy,
}
