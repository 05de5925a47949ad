"""The area under the ROC curve. It holds the scores of all examples, float32."""

from __future__ import annotations

import math

import numpy as np

from svgd_onnx.training.metrics.metric import Metric
from svgd_onnx.training.metrics.task import Answers
from svgd_onnx.transforms.losses.loss import CLASSES, YES_OR_NO


class _Auc:
    def __init__(self) -> None:
        self._scores: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []

    def add(self, answers: Answers) -> None:
        if answers.task.loss.says == CLASSES:
            scores, labels = answers.classes
            scores = _of_classes(scores, answers.task.logits)
        else:
            scores, _, labels = answers.yes_or_no
        self._scores.append(scores.astype(np.float32))
        self._labels.append(labels)

    def value(self) -> float:
        scores, labels = np.concatenate(self._scores), np.concatenate(self._labels)
        if labels.ndim == 2:
            areas = [area(column, so) for column, so in zip(scores.T, labels.T)]
        elif scores.shape[1] == 1:
            areas = [area(scores[:, 0], labels == 1)]
        else:
            areas = [area(column, labels == number) for number, column in enumerate(scores.T)]
        known = [each for each in areas if not math.isnan(each)]
        return float(np.mean(known)) if known else math.nan


def _of_classes(scores: np.ndarray, logits: bool) -> np.ndarray:
    """What orders examples as the probability of each class does; of two classes, that of the second."""
    with np.errstate(invalid="ignore"):  # of infinite scores
        if scores.shape[1] == 2:
            return np.asarray(scores[:, 1:].astype(np.float64) - scores[:, :1])
        if not logits:
            return scores
        above = scores.astype(np.float64) - scores.max(axis=1, keepdims=True)
        log_probabilities: np.ndarray = above - np.log(np.sum(np.exp(above), axis=1, keepdims=True))
        return log_probabilities


def area(scores: np.ndarray, positive: np.ndarray) -> float:
    """The probability that a positive example has a higher score than a negative one; of equal scores half.

    Mann and Whitney's U by ranks; NaN where all are positive, or none.

    Args:
        scores: (n,).
        positive: (n,) bool.
    """
    positives = int(np.sum(positive))
    negatives = len(positive) - positives
    if not positives or not negatives:
        return math.nan
    _, which, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2  # from 1; of equal scores the mean
    above = float(np.sum(ranks[which.reshape(-1)][positive])) - positives * (positives + 1) / 2
    return above / (positives * negatives)


AUC = Metric("auc", True, (CLASSES, YES_OR_NO), _Auc)
"""Of two classes, or of yes or no (averaged over labels); of more classes each against the rest, averaged over
those that occur. scikit-learn's roc_auc_score, multi_class="ovr"."""
