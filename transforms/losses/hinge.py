"""By how much scores of other classes come near that of the label, or are above it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.transforms.losses.loss_of_classes import (
    LossOfClasses,
    counted_labels,
    picked,
    reduced_over_labels,
)

if TYPE_CHECKING:
    import onnx_ir as ir

    from svgd_onnx.transforms.writer import Writer


class Hinge(LossOfClasses):
    """mean_n 1/C sum_{c != y_n} max(0, margin - x[n, y_n] + x[n, c]), as PyTorch's MultiMarginLoss.

    Scores x (N, C, ...) float32, labels y (N, ...) int64 in [0, C); n goes over every label. Of class weights
    the mean is divided by the sum of those of the labels, as that of cross-entropy is, where PyTorch divides by
    how many labels there are.
    """

    name = "hinge"
    settings = LossOfClasses.settings | {"margin"}

    def build(
        self, write: Writer, prediction: ir.Value, target: ir.Value | None, settings: LossSettings
    ) -> ir.Value:
        axis = write.integers(1)
        labels = counted_labels(write, prediction, target, settings)
        score = write.node("Unsqueeze", picked(write, prediction, labels), axis)
        excess = write.node(
            "Add", write.node("Sub", prediction, score), write.scalar(settings.margin)
        )
        classes = write.node("Shape", prediction, start=1, end=2)
        columns = write.integers(-1, *[1] * (len(prediction.shape or ()) - 2))
        numbers = write.node("Reshape", write.positions(classes), columns)
        own = write.node("Equal", write.node("Unsqueeze", labels.index, axis), numbers)
        others = write.node("Where", own, write.scalar(0.0), write.node("Relu", excess))
        total = write.node("ReduceSum", others, axis, keepdims=0)
        each = write.node("Div", total, write.cast(classes, "float32"))
        return reduced_over_labels(write, each, labels, settings)
