"""What a loss is: everything that conversion, training and checks ask of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, TypeVar

import numpy as np

from svgd_onnx.loss_settings import LossSettings

if TYPE_CHECKING:
    import onnx_ir as ir

    from svgd_onnx.transforms.writer import Writer

CLASSES, YES_OR_NO, NUMBERS, NOTHING = "classes", "yes or no", "numbers", "nothing"
"""What a target says: the number of a class, whether each thing is so, numbers, or there is none."""

# A size, or what stands for one that is open.
Dim = TypeVar("Dim")


class Loss:
    """A loss over one prediction.

    A subclass gives its name and builds its value. As it stands here, the target is float32 and of the
    prediction's shape, every number counts alike, and no answer is right or wrong: a subclass overrides
    what is otherwise.

    Losses are read on devices that have neither onnx nor onnx-ir: a file of one imports them for type
    checks only, and writes nodes by the `Writer` that it is given.

    Attributes:
        name: what `convert` calls it.
        target: name of the graph input that holds what the model should have said; None if the loss
            compares the prediction with nothing.
        target_dtype: NumPy's name of its element type.
        contains: final activations that the loss computes itself, and better: it reads their input.
        settings: the fields of `LossSettings` that it has.
        says: what the target says, which decides what metrics fit.
    """

    name: ClassVar[str]
    target: ClassVar[str | None] = "target"
    target_dtype: ClassVar[str] = "float32"
    contains: ClassVar[frozenset[str]] = frozenset()
    settings: ClassVar[frozenset[str]] = frozenset({"reduction"})
    says: ClassVar[str] = NUMBERS

    @property
    def has_classes(self) -> bool:
        """Whether an axis of the prediction has an entry for each class."""
        return "class_axis" in self.settings

    def build(
        self, write: Writer, prediction: ir.Value, target: ir.Value | None, settings: LossSettings
    ) -> ir.Value:
        """Writes the loss.

        Args:
            write: takes its nodes and constants.
            prediction: float32 of known shape, without a final activation that the loss contains; if it
                has classes, they are on axis 1.
            target: the graph input, or None if the loss has none.
            settings: of the loss.

        Returns:
            The loss, a float32 scalar.

        Raises:
            UserError: the prediction is not one that this loss takes.
        """
        raise NotImplementedError

    def target_shape(self, prediction: Sequence[Dim]) -> list[Dim]:
        """The target's shape, from that of the prediction as `build` takes it."""
        return list(prediction)

    def random_target(
        self,
        prediction: np.ndarray,
        class_axis: int | None,
        axes: int,
        random: np.random.Generator,
    ) -> np.ndarray:
        """A target for a prediction; here numbers in [0, 1).

        Args:
            prediction: the model's output, (examples, ...).
            class_axis: its axis of classes, if it has one.
            axes: how many the target has.
            random: where numbers come from.
        """
        return random.uniform(size=prediction.shape).astype(np.float32)

    def check_form(self, target: np.ndarray, axes: int, source: str) -> None:
        """Refuses a target whose form shows a misunderstanding, before types and shapes are compared.

        Args:
            target: as the user gave it.
            axes: how many it should have.
            source: what to call the data in a message.

        Raises:
            UserError: says what to give instead.
        """

    def target_range(
        self, logits_shape: Sequence[int | str], settings: LossSettings
    ) -> tuple[int | None, int | None]:
        """The least and the greatest number in a target that is an index; here it is none.

        Args:
            logits_shape: of what the loss reads; a string stands for an open size.
            settings: of the loss; `class_axis` is that of the logits.
        """
        return None, None

    def right_answers(
        self, prediction: np.ndarray, target: np.ndarray, settings: LossSettings, *, logits: bool
    ) -> tuple[int, int] | None:
        """How many answers of a batch are right, and how many count; None if there is no such thing.

        Args:
            prediction: the model's own output, (examples, ...).
            target: what it should have said, (examples, ...).
            settings: of the loss; `class_axis` is that of the logits.
            logits: whether the prediction is what the loss reads, not an activation of it.
        """
        return None

    def batch_weight(
        self, examples: int, batch: Sequence[np.ndarray], settings: LossSettings
    ) -> float:
        """What the mean loss of a batch was divided by, up to a constant: it weighs batches.

        Args:
            examples: how many the batch has.
            batch: arrays as a step takes them, the target last.
            settings: of the loss.
        """
        return float(examples)


def reduced(write: Writer, each: ir.Value, settings: LossSettings) -> ir.Value:
    """The mean or the sum over all elements, a scalar."""
    operator = {"mean": "ReduceMean", "sum": "ReduceSum"}[settings.reduction]
    return write.node(operator, each, keepdims=0)
