"""The trainer of the command line: with its first checkpoint comes the run.toml that does the run again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from svgd_onnx.run_record import record
from svgd_onnx.training.trainer import Trainer


class RecordedTrainer(Trainer):
    """A `Trainer` that keeps beside its checkpoint what it was told.

    Args:
        context: of the command that trains, as click has it.
        folder: as of `Trainer`, like all others.

    Attributes:
        first_step: the step that the run begins with, from 0.
        config: the file that was written; None before a checkpoint, or where it could not be written.
    """

    def __init__(self, context: Any, folder: Path, **settings: Any) -> None:
        super().__init__(folder, **settings)
        self._context = context
        self._folder = folder
        self._is_recorded = False
        self.first_step = self.step
        self.config: Path | None = None

    def save(self) -> None:
        """See `Trainer`. What is written is the same with every checkpoint of a run, so it is written once."""
        super().save()
        first = self._state.communicator.rank == 0
        if self.step > self.first_step and not self._is_recorded and first:
            self._is_recorded = True
            chosen: dict[str, Any] = {
                "seed": self.seed,
                "device": self.device,
                "resume": self.first_step > 0,
            }
            self.config = record(
                self._context, self._folder, written=["log", "tensorboard"], **chosen
            )
