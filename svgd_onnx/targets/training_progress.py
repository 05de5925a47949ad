"""How far a training has come, as a checkpoint has it."""

from __future__ import annotations

from dataclasses import dataclass, field

from svgd_onnx.json_reading import MisfitError, read

_MOST = 2**63


@dataclass(frozen=True)
class Origin:
    """Where in the order of examples training began with the batch size, and as many examples, as it has.

    Attributes:
        first_step: the first with it. (The name is another than that of `TrainingProgress`, whose text programs
            in other languages look through for "step".)
        epoch: the epoch of that step, from 0.
        position: how many examples of that epoch were taken before.
        examples: how many an epoch has; 0 where that is not known, as before training and in checkpoints of
            older versions.
    """

    first_step: int = 0
    epoch: int = 0
    position: int = 0
    examples: int = 0


@dataclass(frozen=True)
class Validation:
    """What an evaluation after an epoch gave.

    Attributes:
        after_step: steps before it; on the name see `Origin`.
        values: the loss and the metrics by name; None where one was not finite.
    """

    after_step: int
    values: dict[str, float | None]


@dataclass(frozen=True)
class TrainingProgress:
    """How far training has come, and what its next steps depend on; each 0 or empty before training.

    Attributes:
        step: steps so far.
        seed: 64 bits.
        batch_size: examples a step.
        skipped: how many of the steps were left out, since they were not finite, or since an epoch was begun
            (`Trainer.begin_epoch`) before they were as many batches as change parameters.
        conversion: `Manifest.conversion` of the artifacts that trained it; empty where that is not known, as
            before training and in checkpoints of older versions.
        origin: where training began with this batch size and as many examples.
        best_step: the step of the checkpoint that is kept as the best; None if none is.
        validations: all so far, in their order.
        classes: names of the classes that it was trained on, in the order of their numbers; empty where the
            data did not name them. Of several labels, those of the first.
        label_classes: of several labels those that are known, by label.
        rows_record: what tells the rows that are in its log up to here from those of other runs; empty if there
            is none, None where that is not known, as in checkpoints of older versions.
        events_record: the same of TensorBoard's event files.
        recorded: after how many steps both were so; None where neither is known.
    """

    step: int = 0
    seed: int = 0
    batch_size: int = 0
    skipped: int = 0
    conversion: dict[str, str] = field(default_factory=dict)
    origin: Origin = Origin()  # noqa: RUF009: it is frozen
    best_step: int | None = None
    validations: tuple[Validation, ...] = ()
    classes: list[str] = field(default_factory=list)
    label_classes: dict[str, list[str]] = field(default_factory=dict)
    rows_record: str | None = None
    events_record: str | None = None
    recorded: int | None = None

    @property
    def is_possible(self) -> bool:
        """Whether a training can have come so far: no count is negative, and none is of steps to come."""
        origin, steps = self.origin, [self.skipped, self.origin.first_step, self.best_step or 0]
        steps += [each.after_step for each in self.validations]
        counts = [self.batch_size, origin.epoch, origin.position, origin.examples]
        return (
            has_place(self.step)
            and all(0 <= each <= self.step for each in steps)
            and all(0 <= each < _MOST for each in counts)
            and 0 <= self.seed < 2**64
        )


def has_place(step: int) -> bool:
    """Whether a checkpoint can be of so many steps."""
    return 0 <= step < _MOST


def read_progress(content: object) -> TrainingProgress:
    """The progress that is written in a checkpoint.

    Args:
        content: what JSON gives.

    Raises:
        MisfitError: it is none, or no training can have come so far.
    """
    progress = read(TrainingProgress, content)
    if not progress.is_possible:
        raise MisfitError("no training can have come so far")
    return progress
