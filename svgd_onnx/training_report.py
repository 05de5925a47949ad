"""What `train` says at its end, or where it is interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from svgd_onnx.data_arguments import show_classes
from svgd_onnx.recorded_trainer import RecordedTrainer
from svgd_onnx.terminal import say
from svgd_onnx.training.trainer import Trainer

if TYPE_CHECKING:
    from svgd_onnx.training.sources import Data


def interrupted(trainer: Trainer) -> str:
    """How far training came, and how it goes on."""
    saved = trainer.saved_step
    again = "train again to go on from there" if saved else "--checkpoint-every saves on the way"
    return f"interrupted at step {trainer.step}; the checkpoint is of step {saved}: {again}"


def say_classes(
    trainer: Trainer, examples: Data
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Says the numbers of classes that are other than those of before.

    Returns:
        The classes of the first label, and where there are several those of each.

    Raises:
        UserError: an input, or a label, has no column.
    """
    from svgd_onnx.training.examples import label_classes

    by_label = label_classes(examples, trainer.manifest)
    labels = [label.name for label in trainer.manifest.labels]
    found = by_label.get(labels[0], ()) if labels else (), by_label if len(labels) > 1 else {}
    if by_label and found != (trainer.classes, trainer.label_classes):
        for line in show_classes(by_label):
            say(line)
    return found


def say_results(trainer: RecordedTrainer, result: dict[str, Any]) -> None:
    """Says how far training came, why it ended, and what is kept.

    Args:
        trainer: which trained.
        result: what `Trainer.train` gave.
    """
    values = ", ".join(
        f"{'loss of the last batch' if name == 'loss' else name.replace('_', ' ')} {value:.6g}"
        for name, value in result.items()
    )
    say(f"Trained from step {trainer.first_step} to {trainer.step}: {values or 'nothing to do'}.")
    if trainer.stopped_early:
        say(f"Stopped early: {trainer.why_stopped}; a larger --early-stopping goes on.")
    elif not values:
        say("More --epochs or --steps go on from there; --restart begins anew.")
    if trainer.best_step is not None:
        say(f"The best checkpoint is of step {trainer.best_step}: --checkpoint best takes it.")
    if trainer.skipped:
        begun = ", or others began before they were as many as change parameters"
        also = begun if trainer.manifest.accumulation_steps > 1 else ""
        say(
            f"{trainer.skipped} of all steps were left out: their loss or a gradient was NaN or infinite{also}."
        )
