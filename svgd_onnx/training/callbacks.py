"""What user code is told while training goes on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from svgd_onnx.errors import UserError, option


@dataclass(frozen=True)
class Record:
    """A moment of a training.

    Attributes:
        step: steps so far, this one too.
        epoch: the epoch of this step, from 0.
        rate: the learning rate that this step had.
        loss: of this step's batch, before the update.
        metrics: of the validation after this step, by name, the loss too; empty where there was none.
    """

    step: int
    epoch: int
    rate: float
    loss: float
    metrics: Mapping[str, float] = field(default_factory=dict)


class Callback:
    """What is called while `Trainer.train` runs; a subclass overrides what it wants to hear of.

    `trainer.stop()` in one of them ends training after the step, with a checkpoint. An exception ends it at
    once, and reaches who called `train`; the last checkpoint stays.

    Example:
        >>> class UntilItIsGood(svgd_onnx.Callback):
        ...     def on_epoch(self, record):
        ...         if record.metrics["accuracy"] >= 0.99:
        ...             trainer.stop()
        >>> options = {"epochs": 50, "batch_size": 16, "learning_rate": 0.1, "callbacks": [UntilItIsGood()]}
        >>> result = trainer.fit(examples, examples, **options)
        >>> result["validation_accuracy"] >= 0.99, trainer.step < 50 * 4
        (True, True)
    """

    def on_step(self, record: Record) -> None:
        """After each step, and its validation if it had one.

        Args:
            record: of this step.
        """

    def on_epoch(self, record: Record) -> None:
        """After the last step of each epoch.

        Args:
            record: of that step.
        """

    def on_checkpoint(self, record: Record) -> None:
        """After the checkpoint was saved.

        Args:
            record: of the step that it is of.
        """


def check_callbacks(callbacks: Iterable[Callback]) -> list[Callback]:
    """Refuses what is no callback.

    Raises:
        UserError: says what it is.
    """
    found: list[Any]
    try:
        found = [callbacks] if isinstance(callbacks, Callback) else list(callbacks)
    except TypeError:
        found = [callbacks]
    for each in found:
        if not isinstance(each, Callback):
            raise UserError(
                f"{option('callbacks')} has {each!r}: give objects of subclasses of svgd_onnx.Callback."
            )
    return found
