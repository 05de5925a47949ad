"""How often each class was right, wanted and said; of yes or no, each label."""

from __future__ import annotations

import numpy as np

from svgd_onnx.training.metrics.task import Answers
from svgd_onnx.transforms.losses.loss import CLASSES


class Counts:
    """Counts over batches.

    Attributes:
        right: how often a class was both said and wanted, (classes,) int64.
        wanted: how often it was to be said.
        said: how often it was said.
        absent: how often neither, of yes or no.
        by_label: whether each is a label of yes or no, not a class.
    """

    def __init__(self) -> None:
        self.right = self.wanted = self.said = self.absent = np.zeros(0, np.int64)
        self.by_label = False

    def add(self, answers: Answers) -> None:
        """Takes a batch into account."""
        self.by_label = answers.task.loss.says != CLASSES
        right, wanted, said, absent = _labels(answers) if self.by_label else _classes(answers)
        first = not self.right.size
        self.right = right if first else self.right + right
        self.wanted = wanted if first else self.wanted + wanted
        self.said = said if first else self.said + said
        self.absent = absent if first else self.absent + absent


def _classes(answers: Answers) -> tuple[np.ndarray, ...]:
    scores, labels = answers.classes
    classes = scores.shape[1]
    said = scores.argmax(axis=1)
    counted = [
        np.bincount(each, minlength=classes) for each in (labels[said == labels], labels, said)
    ]
    return (*counted, np.zeros(classes, np.int64))


def _labels(answers: Answers) -> tuple[np.ndarray, ...]:
    _, said, wanted = answers.yes_or_no
    counted = (said & wanted, wanted, said, ~said & ~wanted)
    return tuple(np.asarray(np.sum(each, axis=0, dtype=np.int64)) for each in counted)
