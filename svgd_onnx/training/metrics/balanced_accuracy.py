"""The mean over classes of the share of their examples that are right."""

from __future__ import annotations

import math

import numpy as np

from svgd_onnx.training.metrics.counts import Counts
from svgd_onnx.training.metrics.metric import Metric
from svgd_onnx.training.metrics.task import Task
from svgd_onnx.transforms.losses.loss import CLASSES, YES_OR_NO


class _BalancedAccuracy(Counts):
    def value(self) -> float:
        right, wanted = self.right, self.wanted
        if self.by_label:  # two classes, yes and no
            no = self.absent + self.said - self.right
            right, wanted = np.concatenate([right, self.absent]), np.concatenate([wanted, no])
        occurs = wanted > 0
        return float(np.mean(right[occurs] / wanted[occurs])) if occurs.any() else math.nan


def one_label(task: Task) -> str | None:
    """Why a metric of one question does not fit a task; None if it does."""
    if task.loss.says == YES_OR_NO and task.labels != 1:
        return "each example is asked several things"
    return None


BALANCED_ACCURACY = Metric(
    "balanced-accuracy", True, (CLASSES, YES_OR_NO), _BalancedAccuracy, one_label
)
"""Recall, averaged over the classes that occur; scikit-learn's balanced_accuracy_score."""
