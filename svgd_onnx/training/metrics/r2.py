"""R squared: the share of the variance that is predicted."""

from __future__ import annotations

import math

import numpy as np

from svgd_onnx.training.metrics.metric import Metric
from svgd_onnx.training.metrics.task import Answers
from svgd_onnx.transforms.losses.loss import NUMBERS


class _R2:
    """Means and sums of squares of each output, joined batch by batch (Chan et al. 1979)."""

    def __init__(self) -> None:
        self._count = 0
        self._mean = self._squares = self._errors = np.zeros(0)

    def add(self, answers: Answers) -> None:
        predicted, wanted = answers.numbers
        count, mean = len(wanted), wanted.mean(axis=0)
        squares = np.sum((wanted - mean) ** 2, axis=0)
        errors = np.sum((wanted - predicted) ** 2, axis=0)
        if not self._count:
            self._count, self._mean, self._squares, self._errors = count, mean, squares, errors
            return
        total, apart = self._count + count, mean - self._mean
        self._squares = self._squares + squares + apart**2 * (self._count * count / total)
        self._mean = self._mean + apart * (count / total)
        self._errors, self._count = self._errors + errors, total

    def value(self) -> float:
        if self._count < 2:
            return math.nan
        constant = self._squares == 0
        share = 1.0 - self._errors / np.where(constant, 1.0, self._squares)
        return float(np.mean(np.where(constant, self._errors == 0, share)))


R2 = Metric("r2", True, (NUMBERS,), _R2)
"""1 - sum of squared errors / sum of squares about the mean, of each output, averaged over outputs;
scikit-learn's r2_score. Of an output that is constant, 1 where it is predicted exactly and else 0."""
