"""Cross-entropy in which examples that are classified well count little (Lin et al., arXiv 1708.02002)."""

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
)

if TYPE_CHECKING:
    import onnx_ir as ir

    from svgd_onnx.transforms.writer import Writer

# What 1 - p is at least: half of float32's step at 1. The power of 0 has no slope below an exponent of 1.
_LEAST = 2.0**-25


class Focal(LossOfClasses):
    """mean_n -(1 - p_n)^gamma log p_n, p_n = softmax(logits)[n, labels[n]].

    logits (N, C, ...) float32, labels (N, ...) int64 in [0, C); n goes over every label. gamma is
    `focal_gamma`; with 0 it is cross-entropy. Class weights are the paper's alpha: they multiply, and the mean
    is divided by their sum over labels, as that of cross-entropy is.
    """

    name = "focal"
    contains = frozenset({"Softmax", "LogSoftmax"})
    settings = LossOfClasses.settings | {"focal_gamma", "from_logits"}

    def build(
        self, write: Writer, prediction: ir.Value, target: ir.Value | None, settings: LossSettings
    ) -> ir.Value:
        labels = counted_labels(write, prediction, target, settings)
        log_p = picked(write, log_softmax(write, prediction), labels)
        rest = write.node("Sub", write.scalar(1.0), write.node("Exp", log_p))
        rest = write.node("Max", rest, write.scalar(_LEAST))
        factor = write.node("Pow", rest, write.scalar(settings.focal_gamma))
        each = write.node("Mul", factor, log_p)
        return write.node("Neg", reduced_over_labels(write, each, labels, settings))

    def of_guessing(self, classes: int | None, settings: LossSettings) -> float | None:
        """(1 - 1/C)^gamma log C."""
        if classes is None or settings.reduction != "mean":
            return None
        return float((1 - 1 / classes) ** settings.focal_gamma * log(classes))
