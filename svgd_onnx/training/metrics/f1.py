"""F1: the harmonic mean of precision and recall."""

from __future__ import annotations

import math

import numpy as np

from svgd_onnx.training.metrics.counts import Counts
from svgd_onnx.training.metrics.metric import Metric
from svgd_onnx.transforms.losses.loss import CLASSES, YES_OR_NO


class _OfEach(Counts):
    """2 right / (wanted + said), of each class or label; 0 where it is neither wanted nor said."""

    def scores(self) -> np.ndarray:
        return np.asarray(2 * self.right / np.maximum(self.wanted + self.said, 1))


class _Macro(_OfEach):
    def value(self) -> float:
        scores, occurs = self.scores(), (self.wanted + self.said > 0) | self.by_label
        return float(np.mean(scores[occurs])) if occurs.any() else math.nan


class _Micro(Counts):
    def value(self) -> float:
        everything = int(np.sum(self.wanted + self.said))
        if not everything:
            return 0.0 if self.by_label else math.nan
        return 2 * int(np.sum(self.right)) / everything


class _Weighted(_OfEach):
    def value(self) -> float:
        wanted = int(np.sum(self.wanted))
        if not wanted:
            return 0.0 if self.by_label else math.nan
        return float(np.sum(self.scores() * self.wanted) / wanted)


_OF = (CLASSES, YES_OR_NO)
F1 = (
    Metric("f1", True, _OF, _Macro),
    Metric("f1-micro", True, _OF, _Micro),
    Metric("f1-weighted", True, _OF, _Weighted),
)
"""Averaged over classes that occur or are said (macro); of all answers together; or by how often each
occurs. scikit-learn's f1_score; of yes or no it is that of yes, averaged over labels."""
