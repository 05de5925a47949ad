"""Cross-entropy between the softmax of logits and integer class labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.transforms.losses.loss import Loss


def _build(logits: ir.Value, labels: ir.Value, settings: LossSettings) -> list[ir.Node]:
    if (
        settings.ignore_index is None
        and settings.class_weights is None
        and not settings.label_smoothing
    ):
        # The second output, the log-probabilities, is what the gradient is computed from.
        attributes = {"reduction": settings.reduction}
        return [ir.node("SoftmaxCrossEntropyLoss", [logits, labels], attributes, num_outputs=2)]
    return _weighted(logits, labels, settings)


def _weighted(logits: ir.Value, labels: ir.Value, settings: LossSettings) -> list[ir.Node]:
    """sum_n u_n ((1 - e) w[y_n] l[n, y_n] + e mean_c w[c] l[n, c]) / sum_n u_n w[y_n].

    l = -log softmax(logits), w the class weights, e the label smoothing, u_n 0 where the label is to
    be ignored and 1 elsewhere. The sum over no label at all is divided by 1, so that a batch of which
    every label is ignored has the loss 0.
    """
    nodes: list[ir.Node] = []

    def node(op_type: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        nodes.append(ir.node(op_type, inputs, attributes))
        return nodes[-1].outputs[0]

    def constant(values: object, dtype: type = np.float32) -> ir.Value:
        return node("Constant", value=ir.tensor(np.asarray(values, dtype)))

    class_axis = constant([1], np.int64)
    # the classes last, where onnxruntime's LogSoftmax and its gradient take them in one piece
    rank = len(logits.shape or ())
    last = node("Transpose", logits, perm=[0, *range(2, rank), 1]) if rank > 2 else logits
    log_probabilities = node("LogSoftmax", last, axis=-1)
    if rank > 2:
        perm = [0, rank - 1, *range(1, rank - 1)]
        log_probabilities = node("Transpose", log_probabilities, perm=perm)
    counted = None
    if settings.ignore_index is not None:
        ignored = node("Equal", labels, constant(settings.ignore_index, np.int64))
        counted = node("Cast", node("Not", ignored), to=ir.DataType.FLOAT)
        # an ignored label may be no class at all
        labels = node("Where", ignored, constant(0, np.int64), labels)
    picked = node(
        "GatherElements", log_probabilities, node("Unsqueeze", labels, class_axis), axis=1
    )
    each = node("Squeeze", picked, class_axis)
    weights = None if settings.class_weights is None else constant(settings.class_weights)
    share = counted if weights is None else node("Gather", weights, labels)
    if weights is not None and counted is not None:
        share = node("Mul", share, counted)
    if share is not None:
        each = node("Mul", each, share)
    total = node("ReduceSum", each, keepdims=0)
    smoothing = settings.label_smoothing
    if smoothing:
        spread = log_probabilities
        if weights is not None:
            columns = constant([-1, *[1] * (rank - 2)], np.int64)
            spread = node("Mul", spread, node("Reshape", weights, columns))
        of_all = node("ReduceSum", spread, class_axis, keepdims=0)
        if counted is not None:
            of_all = node("Mul", of_all, counted)
        classes = node("Gather", node("Shape", logits), constant(1, np.int64))
        part = node("Div", constant(smoothing), node("Cast", classes, to=ir.DataType.FLOAT))
        total = node(
            "Add",
            node("Mul", total, constant(1.0 - smoothing)),
            node("Mul", node("ReduceSum", of_all, keepdims=0), part),
        )
    if settings.reduction == "sum":
        node("Neg", total)
        return nodes
    if share is None:
        size = node("Cast", node("Size", labels), to=ir.DataType.FLOAT)
    else:
        size = node("ReduceSum", share, keepdims=0)
        nothing = node("Equal", size, constant(0.0))
        size = node("Where", nothing, constant(1.0), size)
    node("Neg", node("Div", total, size))
    return nodes


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

logits (N, C, ...) float32, labels (N, ...) int64 in [0, C); n goes over every label. Class weights,
labels to ignore and label smoothing as `LossSettings` has them.
"""
