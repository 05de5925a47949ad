"""Cross-entropy between the softmax of logits and integer class labels."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.transforms.losses.loss_of_classes import (
    LossOfClasses,
    counted_labels,
    log_softmax,
    picked,
    reduced_over_labels,
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

    def of_guessing(self, classes: int | None, settings: LossSettings) -> float | None:
        """log C, with class weights too, by whose sum the mean is divided."""
        weighted = settings.class_weights is not None and settings.label_smoothing
        if classes is None or settings.reduction != "mean" or weighted:
            return None
        return log(classes)


def _weighted(
    write: Writer, logits: ir.Value, target: ir.Value | None, settings: LossSettings
) -> ir.Value:
    """sum_n u_n ((1 - e) w[y_n] l[n, y_n] + e mean_c w[c] l[n, c]) / sum_n u_n w[y_n].

    l = -log softmax(logits), w the class weights, e the label smoothing, u_n 0 where the label is to
    be ignored or of a class of weight 0, and 1 elsewhere. The sum over no label at all is divided by 1, so that
    a batch in which no label counts has the loss 0.
    """
    log_probabilities = log_softmax(write, logits)
    labels = counted_labels(write, logits, target, settings)
    each = picked(write, log_probabilities, labels)
    if not settings.label_smoothing:
        return write.node("Neg", reduced_over_labels(write, each, labels, settings))
    if labels.share is not None:
        each = write.node("Mul", each, labels.share)
    total = write.node("ReduceSum", each, keepdims=0)
    spread = log_probabilities
    if labels.weights is not None:
        columns = write.integers(-1, *[1] * (len(logits.shape or ()) - 2))
        spread = write.node("Mul", spread, write.node("Reshape", labels.weights, columns))
    of_all = write.node("ReduceSum", spread, write.integers(1), keepdims=0)
    if labels.counted is not None:
        of_all = write.node("Mul", of_all, labels.counted)
    total = _smoothed(write, total, of_all, logits, settings.label_smoothing)
    if settings.reduction == "mean":
        total = write.node("Div", total, size_of(write, labels))
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
