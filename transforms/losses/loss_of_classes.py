"""What losses have in common whose target is the number of a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from svgd_onnx.errors import UserError
from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.transforms.losses.loss import CLASSES, Dim, Loss

if TYPE_CHECKING:
    import onnx_ir as ir

    from svgd_onnx.transforms.writer import Writer


CHECKED_LABELS = "checked of label"
"""In the name of the node that looks whether labels are classes (`Writer.index_within`)."""


class LossOfClasses(Loss):
    """A loss of logits (N, C, ...) and labels (N, ...) int64 in [0, C).

    `settings` may say which axis the classes are on, which labels do not count, and what each class
    weighs; `build` has to heed the last two. `log_softmax` and `size_of` are for it.
    """

    target = "labels"
    target_dtype = "int64"
    says = CLASSES
    settings = frozenset({"reduction", "class_axis", "ignore_index", "class_weights"})

    def target_shape(self, prediction: Sequence[Dim]) -> list[Dim]:
        return [dim for axis, dim in enumerate(prediction) if axis != 1]

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

    def check_form(self, target: np.ndarray, axes: int, source: str) -> None:
        if target.ndim == axes + 1 and target.shape[-1] > 1:
            raise UserError(
                f"Array '{self.target}' in {source} has shape {target.shape}, as if a class were a "
                "row: give the numbers of the classes, as .argmax(axis=-1) does."
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
        counted = _counts(target, settings)
        return int(np.sum((classes == target) & counted)), int(np.sum(counted))

    def batch_weight(
        self, examples: int, batch: Sequence[np.ndarray], settings: LossSettings
    ) -> float:
        counted = _counts(batch[-1], settings)
        if settings.class_weights is not None:
            return float(np.sum(np.asarray(settings.class_weights)[batch[-1][counted]]))
        return float(counted.sum())


def _counts(labels: np.ndarray, settings: LossSettings) -> np.ndarray:
    """Which labels are not to be ignored; bool, of their shape."""
    if settings.ignore_index is None:
        return np.ones(labels.shape, bool)
    return np.asarray(labels != settings.ignore_index)


def log_softmax(write: Writer, logits: ir.Value) -> ir.Value:
    """log softmax over axis 1 of (N, C, ...)."""
    rank = len(logits.shape or ())
    if rank == 2:
        return write.node("LogSoftmax", logits, axis=-1)
    # the classes last, where onnxruntime's LogSoftmax and its gradient take them in one piece
    last = write.node("Transpose", logits, perm=[0, *range(2, rank), 1])
    last = write.node("LogSoftmax", last, axis=-1)
    return write.node("Transpose", last, perm=[0, rank - 1, *range(1, rank - 1)])


def size_of(write: Writer, labels: ir.Value | None, share: ir.Value | None) -> ir.Value:
    """What the mean is divided by: how many labels there are, or the sum of their shares, but never 0."""
    if share is None:
        return write.cast(write.node("Size", labels), "float32")
    size = write.node("ReduceSum", share, keepdims=0)
    nothing = write.node("Equal", size, write.scalar(0.0))
    return write.node("Where", nothing, write.scalar(1.0), size)
