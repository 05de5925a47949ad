"""What losses have in common whose target is the number of a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from svgd_onnx.errors import UserError, option
from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.transforms.losses.loss import CLASSES, Dim, Loss

if TYPE_CHECKING:
    import onnx_ir as ir

    from svgd_onnx.transforms.writer import Writer


CHECKED_LABELS = "checked of label"
"""In the name of the node that looks whether labels are classes (`Writer.index_within`)."""
# Labels that are looked at together.
_PIECE = 1 << 18


class LossOfClasses(Loss):
    """A loss of logits (N, C, ...) and labels (N, ...) int64 in [0, C).

    `settings` may say which axis the classes are on, which labels do not count, and what each class
    weighs; `build` has to heed the last two, as `counted_labels` and `reduced_over_labels` do for it.
    """

    target = "labels"
    target_dtype = "int64"
    says = CLASSES
    settings = frozenset({"reduction", "class_axis", "ignore_index", "class_weights"})

    def target_shape(self, prediction: Sequence[Dim]) -> list[Dim]:
        return [dim for axis, dim in enumerate(prediction) if axis != 1]

    def target_axis(self, prediction: int | None, class_axis: int | None) -> int | None:
        if prediction is None or class_axis is None:
            return prediction
        return prediction - (class_axis < prediction)

    def random_target(
        self,
        prediction: np.ndarray,
        class_axis: int | None,
        axes: int,
        random: np.random.Generator,
    ) -> np.ndarray:
        assert class_axis is not None
        shape = [size for axis, size in enumerate(prediction.shape) if axis != class_axis]
        return random.integers(prediction.shape[class_axis], size=shape[:axes])

    def check_form(self, target: np.ndarray, axes: int, array: str) -> None:
        if target.ndim == axes + 1 and target.shape[-1] > 1:
            raise UserError(
                f"{array} has shape {target.shape}, as if a class were a row: give the numbers of the "
                "classes, as .argmax(axis=-1) does."
            )

    def check_counting(self, target: np.ndarray, settings: LossSettings, array: str) -> None:
        if _some_count(target, settings):
            return
        if _some_count(target, replace(settings, class_weights=None)):
            raise UserError(
                f"Every label that counts in {array} is of a class whose weight in "
                f"{option('class_weights')} is 0: give it labels of others."
            )
        raise UserError(
            f"Every label in {array} is {settings.ignore_index}, which is to be ignored: give it labels that "
            "count."
        )

    def target_range(
        self, logits_shape: Sequence[int | str], settings: LossSettings
    ) -> tuple[int | None, int | None]:
        assert settings.class_axis is not None
        classes = logits_shape[settings.class_axis]
        return 0, classes - 1 if isinstance(classes, int) else None

    def right_answers(
        self, prediction: np.ndarray, target: np.ndarray, settings: LossSettings, *, logits: bool
    ) -> tuple[int, int]:
        classes = prediction.argmax(axis=settings.class_axis).reshape(target.shape)
        counted = labels_that_count(target, settings)
        return int(np.sum((classes == target) & counted)), int(np.sum(counted))

    def batch_weight(
        self, examples: int, target: np.ndarray | None, settings: LossSettings
    ) -> float:
        assert target is not None
        counted = labels_that_count(target, settings)
        if settings.class_weights is not None:
            return float(np.sum(np.asarray(settings.class_weights)[target[counted]]))
        return float(counted.sum())


def labels_that_count(labels: np.ndarray, settings: LossSettings) -> np.ndarray:
    """Which labels count: not to be ignored, nor of a class of weight 0; bool, of their shape."""
    counted = np.ones(labels.shape, bool)
    if settings.ignore_index is not None:
        counted = np.asarray(labels != settings.ignore_index)
    if settings.class_weights is not None and 0 in settings.class_weights:
        weights = np.asarray(settings.class_weights)
        counted &= weights[np.where(counted, labels, 0)] > 0
    return counted


def _some_count(labels: np.ndarray, settings: LossSettings) -> bool:
    """Whether any label counts; they are looked at in pieces, as they may lie in a mapped file."""
    rows = np.atleast_1d(labels)
    step = max(1, _PIECE // max(1, rows[0].size))
    return any(
        labels_that_count(rows[first : first + step], settings).any()
        for first in range(0, len(rows), step)
    )


@dataclass(frozen=True)
class CountedLabels:
    """Labels that are known to be classes, and what they count.

    Attributes:
        index: (N, ...) int64 in [0, C); 0 for those to be ignored.
        share: what each counts, (N, ...) float32: 0 if it is to be ignored, else the weight of its class; None
            where each counts 1.
        counted: 1 for each that counts and 0 for others, float32; None where all do.
        weights: of the classes, (C) float32; None where each is 1.
    """

    index: ir.Value
    share: ir.Value | None
    counted: ir.Value | None
    weights: ir.Value | None


def counted_labels(
    write: Writer, logits: ir.Value, labels: ir.Value | None, settings: LossSettings
) -> CountedLabels:
    """Labels (N, ...) of logits (N, C, ...), looked at; a run ends with an error at one that is no class."""
    assert labels is not None
    counted = None
    if settings.ignore_index is not None:
        ignored = write.node("Equal", labels, write.integer(settings.ignore_index))
        counted = write.cast(write.node("Not", ignored), "float32")
        # an ignored label may be no class at all
        labels = write.node("Where", ignored, write.integer(0), labels)
    classes = write.node("Shape", logits, start=1, end=2)
    index = write.index_within(labels, classes, CHECKED_LABELS)
    if settings.class_weights is None:
        return CountedLabels(index, counted, counted, None)
    weights = write.constant(np.asarray(settings.class_weights, np.float32))
    share = write.node("Gather", weights, index)
    if counted is not None:
        share = write.node("Mul", share, counted)
    if 0 in settings.class_weights:
        counted = write.cast(write.node("Greater", share, write.scalar(0.0)), "float32")
    return CountedLabels(index, share, counted, weights)


def picked(write: Writer, values: ir.Value, labels: CountedLabels) -> ir.Value:
    """values[n, y_n, ...] of (N, C, ...): that of each label's class, (N, ...)."""
    axis = write.integers(1)
    column = write.node("Unsqueeze", labels.index, axis)
    return write.node("Squeeze", write.node("GatherElements", values, column, axis=1), axis)


def reduced_over_labels(
    write: Writer, each: ir.Value, labels: CountedLabels, settings: LossSettings
) -> ir.Value:
    """sum_n share_n each_n, a scalar; for the mean divided by the sum of the shares, or 0 if that is 0."""
    if labels.share is not None:
        each = write.node("Mul", each, labels.share)
    total = write.node("ReduceSum", each, keepdims=0)
    if settings.reduction == "mean":
        total = write.node("Div", total, size_of(write, labels))
    return total


def log_softmax(write: Writer, logits: ir.Value) -> ir.Value:
    """log softmax over axis 1 of (N, C, ...)."""
    rank = len(logits.shape or ())
    if rank == 2:
        return write.node("LogSoftmax", logits, axis=-1)
    # the classes last, where onnxruntime's LogSoftmax and its gradient take them in one piece
    last = write.node("Transpose", logits, perm=[0, *range(2, rank), 1])
    last = write.node("LogSoftmax", last, axis=-1)
    return write.node("Transpose", last, perm=[0, rank - 1, *range(1, rank - 1)])


def size_of(write: Writer, labels: CountedLabels) -> ir.Value:
    """What the mean is divided by: how many labels there are, or the sum of their shares, but never 0."""
    if labels.share is None:
        return write.cast(write.count(labels.index), "float32")
    size = write.node("ReduceSum", labels.share, keepdims=0)
    nothing = write.node("Equal", size, write.scalar(0.0))
    return write.node("Where", nothing, write.scalar(1.0), size)
