"""Perplexity: among how many classes, all alike, the model would be as undecided."""

from __future__ import annotations

import math

from svgd_onnx.errors import option
from svgd_onnx.training.metrics.metric import Metric
from svgd_onnx.training.metrics.task import Answers, Task
from svgd_onnx.transforms.losses.cross_entropy import CrossEntropy
from svgd_onnx.transforms.losses.loss import CLASSES


class _Perplexity:
    def __init__(self) -> None:
        self._total, self._counted = 0.0, 0

    def add(self, answers: Answers) -> None:
        _, counted = answers.right
        summed = answers.task.settings.reduction == "sum"
        self._total += answers.loss * (1 if summed else counted)
        self._counted += counted

    def value(self) -> float:
        mean = self._total / self._counted if self._counted else math.nan
        try:
            return math.exp(mean)
        except OverflowError:
            return math.inf


def _refusal(task: Task) -> str | None:
    if not isinstance(task.loss, CrossEntropy):
        return f"it is of {option('loss', CrossEntropy.name)}"
    if task.settings.class_weights is not None or task.settings.label_smoothing:
        return f"it is of cross-entropy without {option('class_weights')} and {option('label_smoothing')}"
    return None


PERPLEXITY = Metric("perplexity", False, (CLASSES,), _Perplexity, _refusal)
"""exp of the mean cross-entropy over all labels that count."""
