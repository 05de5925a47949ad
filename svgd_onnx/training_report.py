"""What `train` says at its end, or where it is interrupted."""

from __future__ import annotations

from typing import Any

from svgd_onnx.recorded_trainer import RecordedTrainer
from svgd_onnx.terminal import say
from svgd_onnx.training.trainer import Trainer


def interrupted(trainer: Trainer) -> str:
    """How far training came, and how it goes on."""
    saved = trainer.saved_step
    again = "train again to go on from there" if saved else "--checkpoint-every saves on the way"
    return f"interrupted at step {trainer.step}; the checkpoint is of step {saved}: {again}"


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
        say(
            f"{trainer.skipped} of all steps were left out: their loss or a gradient was NaN or infinite."
        )
