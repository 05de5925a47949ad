"""The share of answers whose class is among those of the highest scores."""

from __future__ import annotations

import functools
import math
import re

import numpy as np

from svgd_onnx.training.metrics.metric import Metric
from svgd_onnx.training.metrics.task import Answers, Task
from svgd_onnx.transforms.losses.loss import CLASSES

_NAME = re.compile(r"top-([1-9]\d{0,8})")


class _TopK:
    def __init__(self, k: int) -> None:
        self._k = k
        self._right = self._counted = 0

    def add(self, answers: Answers) -> None:
        scores, labels = answers.classes
        own = np.take_along_axis(scores, labels[:, np.newaxis], axis=1)
        # of equal scores the first class stands before the others, as argmax has it
        earlier = np.arange(scores.shape[1]) < labels[:, np.newaxis]
        before = np.sum((scores > own) | ((scores == own) & earlier), axis=1)
        self._right += int(np.sum(before < self._k))
        self._counted += len(labels)

    def value(self) -> float:
        return self._right / self._counted if self._counted else math.nan


def top_k(name: str) -> Metric | None:
    """The metric of a name such as top-5; None if it is none."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    k = int(found.group(1))

    def refusal(task: Task) -> str | None:
        classes = task.classes
        return f"there are {classes} classes" if classes is not None and k > classes else None

    return Metric(name, True, (CLASSES,), functools.partial(_TopK, k), refusal)
