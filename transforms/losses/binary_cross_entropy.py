"""Cross-entropy between the sigmoid of logits and targets in [0, 1]."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import numpy as np

from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.transforms.losses.loss import YES_OR_NO, Loss, reduced

if TYPE_CHECKING:
    import onnx_ir as ir

    from svgd_onnx.transforms.writer import Writer


class BinaryCrossEntropy(Loss):
    """mean log(1 + e^x) - x t over all elements; logits x and targets t of one shape, float32."""

    name = "bce-with-logits"
    contains = frozenset({"Sigmoid"})
    says = YES_OR_NO
    settings = Loss.settings | {"from_logits"}

    def build(
        self, write: Writer, prediction: ir.Value, target: ir.Value | None, settings: LossSettings
    ) -> ir.Value:
        # log(1 + e^x) is the log-sum-exp of (0, x), so -log_softmax((0, x))[0]: it neither overflows
        # nor has a kink at 0, and onnxruntime differentiates LogSoftmax exactly.
        last = write.integers(-1)
        column = write.node("Unsqueeze", prediction, last)
        zeros = write.node("Mul", column, write.scalar(0.0))
        pair = write.node("Concat", zeros, column, axis=-1)
        log_softmax = write.node("LogSoftmax", pair, axis=-1)
        picked = write.node("Slice", log_softmax, write.integers(0), write.integers(1), last)
        log_probability = write.node("Squeeze", picked, last)
        negative = write.node("Neg", write.node("Mul", prediction, target))
        return reduced(write, write.node("Sub", negative, log_probability), settings)

    def right_answers(
        self, prediction: np.ndarray, target: np.ndarray, settings: LossSettings, *, logits: bool
    ) -> tuple[int, int]:
        # A probability is likely from 1/2 on, a logit from 0 on.
        threshold = 0.0 if logits else 0.5
        return int(np.sum((prediction > threshold) == (target > 0.5))), target.size

    def of_guessing(self, classes: int | None, settings: LossSettings) -> float | None:
        """log 2."""
        return log(2) if settings.reduction == "mean" else None
