"""How often each class was taken for each."""

from __future__ import annotations

import numpy as np

from svgd_onnx.training.metrics.balanced_accuracy import one_label
from svgd_onnx.training.metrics.metric import Metric
from svgd_onnx.training.metrics.task import Answers, Task
from svgd_onnx.transforms.losses.loss import CLASSES, YES_OR_NO

_MOST_CLASSES = 2_000


class _ConfusionMatrix:
    def __init__(self) -> None:
        self._matrix = np.zeros((0, 0), np.int64)

    def add(self, answers: Answers) -> None:
        if answers.task.loss.says == CLASSES:
            scores, labels = answers.classes
            classes, said = scores.shape[1], scores.argmax(axis=1)
        else:
            _, yes, so = answers.yes_or_no
            classes, said, labels = 2, yes.reshape(-1), so.reshape(-1)
        pairs = np.bincount(
            labels.astype(np.int64) * classes + said, minlength=classes * classes
        ).reshape(classes, classes)
        self._matrix = self._matrix + pairs if self._matrix.size else pairs

    def value(self) -> np.ndarray:
        return self._matrix


def _refusal(task: Task) -> str | None:
    if task.classes is not None and task.classes > _MOST_CLASSES:
        return f"there are {task.classes} classes, and it is for at most {_MOST_CLASSES}"
    return one_label(task)


def as_text(matrix: np.ndarray) -> str:
    """A confusion matrix in lines: a row for each class that was wanted, under the classes that were said."""
    labels = [str(number) for number in range(len(matrix))]
    rows = [
        ["wanted \\ said", *labels],
        *([label, *map(str, row)] for label, row in zip(labels, matrix)),
    ]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(text.rjust(width) for text, width in zip(row, widths)) for row in rows
    )


CONFUSION_MATRIX = Metric(
    "confusion-matrix", True, (CLASSES, YES_OR_NO), _ConfusionMatrix, _refusal, is_table=True
)
"""(classes, classes) int64, a row for each class that was wanted, a column for each that was said;
scikit-learn's confusion_matrix over all classes. Of yes or no, no comes first."""
