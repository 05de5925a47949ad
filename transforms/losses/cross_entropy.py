"""Cross-entropy between the softmax of logits and integer class labels."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.losses.loss import Loss


def _build(logits: ir.Value, labels: ir.Value) -> list[ir.Node]:
    # The second output, the log-probabilities, is what the gradient is computed from.
    return [
        ir.node("SoftmaxCrossEntropyLoss", [logits, labels], {"reduction": "mean"}, num_outputs=2)
    ]


def _target_shape(logits: ir.Shape) -> ir.Shape:
    return ir.Shape([dim for axis, dim in enumerate(logits) if axis != 1])


CROSS_ENTROPY = Loss(
    target="labels",
    target_dtype=ir.DataType.INT64,
    target_shape=_target_shape,
    build=_build,
    contains=frozenset({"Softmax", "LogSoftmax"}),
)
"""mean_n -log softmax(logits)[n, labels[n]]; ONNX operator SoftmaxCrossEntropyLoss.

logits (N, C) float32, labels (N) int64 in [0, C).
"""
