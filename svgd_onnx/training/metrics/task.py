"""What a model is to answer, and its answers to a batch, in the forms that metrics take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.manifest import Dimension, LossTerm, Manifest
from svgd_onnx.transforms.losses import Loss, loss_named
from svgd_onnx.transforms.losses.loss_of_classes import labels_that_count


@dataclass(frozen=True)
class Task:
    """What a model is to answer.

    Attributes:
        loss: by which it is trained.
        settings: of the loss.
        logits: whether the prediction is what the loss reads, not an activation of it.
        batch_axis: of the prediction; None if it has none.
        shape: of the prediction.
        logits_shape: of what the loss reads.
    """

    loss: Loss
    settings: LossSettings
    logits: bool
    batch_axis: int | None
    shape: Sequence[Dimension]
    logits_shape: Sequence[Dimension]

    @classmethod
    def of(cls, manifest: Manifest, term: LossTerm) -> Task:
        """That of one of the losses of artifacts."""
        prediction = next(each for each in manifest.outputs if each.name == term.prediction)
        return cls(
            loss_named(term.loss),
            term.settings,
            term.logits == term.prediction,
            prediction.batch_axis,
            prediction.shape,
            term.logits_shape,
        )

    @property
    def classes(self) -> int | None:
        """How many classes there are, of a loss of classes; None if that is open."""
        axis = self.settings.class_axis
        size = None if axis is None else self.logits_shape[axis]
        return size if isinstance(size, int) else None

    @property
    def labels(self) -> int | None:
        """How many things an example is asked about, of a loss of yes or no; None if that is open."""
        sizes = [size for axis, size in enumerate(self.shape) if axis != self.batch_axis]
        if not sizes or 1 in (sizes[0], sizes[-1]):
            return 1
        return sizes[0] if isinstance(sizes[0], int) else None


class Answers:
    """What a model said to a batch, and what it should have said.

    Args:
        task: what it was asked.
        prediction: the model's own output.
        target: what it should have said, in the loss's form.
        loss: of the batch, reduced as the loss does.
    """

    def __init__(self, task: Task, prediction: np.ndarray, target: np.ndarray, loss: float) -> None:
        self.task, self.loss = task, loss
        self._prediction, self._target = prediction, target

    @cached_property
    def right(self) -> tuple[int, int]:
        """How many are right, and how many count."""
        task = self.task
        found = task.loss.right_answers(
            self._prediction, self._target, task.settings, logits=task.logits
        )
        assert found is not None
        return found

    @cached_property
    def classes(self) -> tuple[np.ndarray, np.ndarray]:
        """Of classes: scores (n, C) and labels (n,) int64, without those that do not count."""
        axis = self.task.settings.class_axis
        assert axis is not None
        scores = np.moveaxis(self._prediction, axis, -1)
        scores, labels = scores.reshape(-1, scores.shape[-1]), self._target.reshape(-1)
        counted = labels_that_count(labels, self.task.settings)
        return (scores, labels) if counted.all() else (scores[counted], labels[counted])

    @cached_property
    def yes_or_no(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of yes or no: scores, whether the model says yes, and whether it is so, each (n, labels).

        A target is so above 1/2. What an example is asked about lies along the axis after that of examples;
        everything is one label where that axis or the last is of size 1, as in (N, 1, H, W).
        """
        scores, targets = (
            _examples_first(each, self.task.batch_axis) for each in (self._prediction, self._target)
        )
        if scores.ndim == 1 or 1 in (scores.shape[1], scores.shape[-1]):
            scores, targets = scores.reshape(-1, 1), targets.reshape(-1, 1)
        else:
            scores, targets = (
                np.moveaxis(each, 1, -1).reshape(-1, each.shape[1]) for each in (scores, targets)
            )
        return scores, scores > (0.0 if self.task.logits else 0.5), targets > 0.5

    @cached_property
    def numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """Of numbers: what was predicted and what it should have been, each (n, numbers) float64."""
        predicted, wanted = (
            _examples_first(each, self.task.batch_axis).astype(np.float64)
            for each in (self._prediction, self._target)
        )
        return predicted.reshape(len(predicted), -1), wanted.reshape(len(wanted), -1)


def _examples_first(array: np.ndarray, axis: int | None) -> np.ndarray:
    return array[np.newaxis] if axis is None else np.moveaxis(array, axis, 0)
