"""How far predicted numbers are off, on average."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from svgd_onnx.training.metrics.metric import Metric
from svgd_onnx.training.metrics.task import Answers
from svgd_onnx.transforms.losses.loss import NUMBERS


class _MeanError:
    """The mean over all numbers of a function of their error, and a function of that."""

    def __init__(
        self, of_each: Callable[[np.ndarray], np.ndarray], of_mean: Callable[[float], float]
    ) -> None:
        self._of_each, self._of_mean = of_each, of_mean
        self._total, self._counted = 0.0, 0

    def add(self, answers: Answers) -> None:
        predicted, wanted = answers.numbers
        self._total += float(np.sum(self._of_each(predicted - wanted)))
        self._counted += predicted.size

    def value(self) -> float:
        return self._of_mean(self._total / self._counted) if self._counted else math.nan


MAE = Metric("mae", False, (NUMBERS,), lambda: _MeanError(np.abs, float))
"""The mean of absolute errors over all numbers; scikit-learn's mean_absolute_error."""
RMSE = Metric("rmse", False, (NUMBERS,), lambda: _MeanError(np.square, math.sqrt))
"""The root of the mean of squared errors over all numbers, of whichever output."""
