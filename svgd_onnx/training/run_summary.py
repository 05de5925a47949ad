"""What a run comes to: how long it took, and each curve's first, last and best value."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from svgd_onnx.training.callbacks import Callback, Record
from svgd_onnx.training.metrics import LOSS, is_better_higher

VALIDATION = "validation_"


@dataclass
class Curve:
    """The course of a loss or a metric during a run.

    Attributes:
        first: its first value.
        last: its last.
        best: its best; None while all were NaN.
        best_step: the step of that, the first of equals.
    """

    first: float
    last: float
    best: float | None = None
    best_step: int | None = None

    def goes_on(self, value: float, step: int, *, higher: bool) -> None:
        """Takes another value; `higher` says whether a larger one is better."""
        self.last = value
        if math.isnan(value):
            return
        better = self.best is None or (value > self.best if higher else value < self.best)
        if better:
            self.best, self.best_step = value, step


class RunSummary(Callback):
    """Follows one call of `Trainer.train`, from its making on.

    Attributes:
        steps: how many were made.
        epochs: the first and the last that steps were of, from 1; None before a step.
        seconds: until the last step or checkpoint; everything is in it, validation too.
        curves: "loss", of batches, and the validation's loss and metrics, as `validation_...`.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.epochs: tuple[int, int] | None = None
        self.seconds = 0.0
        self.curves: dict[str, Curve] = {}
        self._begin = time.perf_counter()

    @property
    def steps_per_second(self) -> float | None:
        """Of all the time; None before a step."""
        return self.steps / max(self.seconds, 1e-9) if self.steps else None

    def on_step(self, record: Record) -> None:
        """See `Callback`."""
        self.steps += 1
        self.seconds = time.perf_counter() - self._begin
        epoch = record.epoch + 1
        self.epochs = (self.epochs[0] if self.epochs else epoch, epoch)
        self._follow(LOSS, LOSS, record.loss, record.step)
        for name, value in record.metrics.items():
            self._follow(f"{VALIDATION}{name}", name, value, record.step)

    def on_checkpoint(self, record: Record) -> None:
        """See `Callback`."""
        self.seconds = time.perf_counter() - self._begin

    def _follow(self, key: str, name: str, value: float, step: int) -> None:
        curve = self.curves.setdefault(key, Curve(value, value))
        curve.goes_on(value, step, higher=is_better_higher(name))
