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
        target_has_classes: whether the target has the axis of classes too, as distributions over them have.
        compares_examples: whether it compares examples with each other, so that they lie along axis 0.
        least_examples: how many a batch needs for it to be other than 0.
        says: what the target says, which decides what metrics fit.
    """

    name: str
    target: str | None = "target"
    target_dtype: str = "float32"
    contains: ClassVar[frozenset[str]] = frozenset()
    settings: ClassVar[frozenset[str]] = frozenset({"reduction"})
    target_has_classes: ClassVar[bool] = False
    compares_examples: ClassVar[bool] = False
    least_examples: ClassVar[int] = 1
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
                has classes, they are on axis 1, or, where the target has them too, where the settings say.
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

    @property
    def own_axes(self) -> Sequence[int]:
        """Open axes of the target that are none of the prediction; after `target_shape`."""
        return ()

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

    def target_axis(self, prediction: int | None, class_axis: int | None) -> int | None:
        """The target's axis of examples; None if it has none.

        Args:
            prediction: the prediction's.
            class_axis: the prediction's axis of classes, if it has one.
        """
        return prediction

    def check_form(self, target: np.ndarray, axes: int, array: str) -> None:
        """Refuses a target whose form shows a misunderstanding, before types and shapes are compared.

        Args:
            target: as the user gave it.
            axes: how many it should have.
            array: what to call it at the beginning of a sentence.

        Raises:
            UserError: says what to give instead.
        """

    def check_counting(self, target: np.ndarray, settings: LossSettings, array: str) -> None:
        """Refuses a target of the right form in which nothing counts.

        Args:
            target: of all examples.
            settings: of the loss.
            array: what to call it within a sentence.

        Raises:
            UserError: says what to give instead.
        """

    def target_range(
        self, logits_shape: Sequence[int | str], settings: LossSettings
    ) -> tuple[int | None, int | None]:
        """The least and the greatest number in a target that is an index, or has a least; here it has none.

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

    def of_guessing(self, classes: int | None, settings: LossSettings) -> float | None:
        """The loss of a prediction that takes all answers for equally likely; None if there is no such thing.

        Args:
            classes: how many; None if there are none, or nobody knows.
            settings: of the loss.
        """
        return None

    def batch_weight(
        self, examples: int, target: np.ndarray | None, settings: LossSettings
    ) -> float:
        """What the mean loss of a batch was divided by, up to a constant: it weighs batches.

        Args:
            examples: how many the batch has.
            target: theirs; None if the loss has none.
            settings: of the loss.
        """
        return float(examples)


def reduced(write: Writer, each: ir.Value, settings: LossSettings) -> ir.Value:
    """The mean or the sum over all elements, a scalar."""
    operator = {"mean": "ReduceMean", "sum": "ReduceSum"}[settings.reduction]
    return write.node(operator, each, keepdims=0)
