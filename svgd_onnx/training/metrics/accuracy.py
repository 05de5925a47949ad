"""The share of right answers."""

from __future__ import annotations

import math

from svgd_onnx.training.metrics.metric import Metric
from svgd_onnx.training.metrics.task import Answers
from svgd_onnx.transforms.losses.loss import CLASSES, YES_OR_NO


class _Accuracy:
    def __init__(self) -> None:
        self._right = self._counted = 0

    def add(self, answers: Answers) -> None:
        right, counted = answers.right
        self._right, self._counted = self._right + right, self._counted + counted

    def value(self) -> float:
        return self._right / self._counted if self._counted else math.nan


ACCURACY = Metric("accuracy", True, (CLASSES, YES_OR_NO), _Accuracy)
"""Right answers by all that count; the class of the highest score, or yes above a probability of 1/2."""
