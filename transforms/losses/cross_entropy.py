"""Cross-entropy between the softmax of logits and integer class labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.transforms.losses.loss_of_classes import (
    CHECKED_LABELS,
    LossOfClasses,
    log_softmax,
    size_of,
)

if TYPE_CHECKING:
    import onnx_ir as ir

    from svgd_onnx.transforms.writer import Writer


class CrossEntropy(LossOfClasses):
    """mean_n -log softmax(logits)[n, labels[n]]; ONNX operator SoftmaxCrossEntropyLoss.

    logits (N, C, ...) float32, labels (N, ...) int64 in [0, C); n goes over every label. Class weights,
    labels to ignore and label smoothing as `LossSettings` has them.
    """

    name = "cross-entropy"
    contains = frozenset({"Softmax", "LogSoftmax"})
    settings = LossOfClasses.settings | {"label_smoothing", "from_logits"}

    def build(
        self, write: Writer, prediction: ir.Value, target: ir.Value | None, settings: LossSettings
    ) -> ir.Value:
        if (
            settings.ignore_index is None
            and settings.class_weights is None
            and not settings.label_smoothing
        ):
            # The second output, the log-probabilities, is what the gradient is computed from.
            attributes = {"reduction": settings.reduction}
            inputs = [prediction, target]
            return write.nodes_with("SoftmaxCrossEntropyLoss", inputs, attributes, 2)[0]
        return _weighted(write, prediction, target, settings)


def _weighted(
    write: Writer, logits: ir.Value, labels: ir.Value | None, settings: LossSettings
) -> ir.Value:
    """sum_n u_n ((1 - e) w[y_n] l[n, y_n] + e mean_c w[c] l[n, c]) / sum_n u_n w[y_n].

    l = -log softmax(logits), w the class weights, e the label smoothing, u_n 0 where the label is to
    be ignored and 1 elsewhere. The sum over no label at all is divided by 1, so that a batch of which
    every label is ignored has the loss 0.
    """
    class_axis = write.integers(1)
    log_probabilities = log_softmax(write, logits)
    counted = None
    if settings.ignore_index is not None:
        ignored = write.node("Equal", labels, write.integer(settings.ignore_index))
        counted = write.cast(write.node("Not", ignored), "float32")
        # an ignored label may be no class at all
        labels = write.node("Where", ignored, write.integer(0), labels)
    classes = write.node("Shape", logits, start=1, end=2)
    assert labels is not None
    labels = write.index_within(labels, classes, CHECKED_LABELS)
    column = write.node("Unsqueeze", labels, class_axis)
    picked = write.node("GatherElements", log_probabilities, column, axis=1)
    each = write.node("Squeeze", picked, class_axis)
    weights = share = None
    if settings.class_weights is not None:
        weights = write.constant(np.asarray(settings.class_weights, np.float32))
        share = write.node("Gather", weights, labels)
    if counted is not None:
        share = counted if share is None else write.node("Mul", share, counted)
    if share is not None:
        each = write.node("Mul", each, share)
    total = write.node("ReduceSum", each, keepdims=0)
    if settings.label_smoothing:
        spread = log_probabilities
        if weights is not None:
            columns = write.integers(-1, *[1] * (len(logits.shape or ()) - 2))
            spread = write.node("Mul", spread, write.node("Reshape", weights, columns))
        of_all = write.node("ReduceSum", spread, class_axis, keepdims=0)
        if counted is not None:
            of_all = write.node("Mul", of_all, counted)
        total = _smoothed(write, total, of_all, logits, settings.label_smoothing)
    if settings.reduction == "mean":
        total = write.node("Div", total, size_of(write, labels, share))
    return write.node("Neg", total)


def _smoothed(
    write: Writer, total: ir.Value, of_all: ir.Value, logits: ir.Value, smoothing: float
) -> ir.Value:
    """(1 - e) total + e / C times the sum over all of `of_all`."""
    classes = write.node("Gather", write.node("Shape", logits), write.integer(1))
    part = write.node("Div", write.scalar(smoothing), write.cast(classes, "float32"))
    kept = write.node("Mul", total, write.scalar(1.0 - smoothing))
    spread = write.node("Mul", write.node("ReduceSum", of_all, keepdims=0), part)
    return write.node("Add", kept, spread)
