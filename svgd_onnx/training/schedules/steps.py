"""Rates that hold from a step on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from svgd_onnx.argument_types import whole_number
from svgd_onnx.errors import UserError
from svgd_onnx.training.schedules.schedule import Schedule, check_rate


@dataclass(frozen=True, kw_only=True)
class Steps(Schedule):
    """alpha until the first change, then what the changes say.

    Args:
        changes: the rate from a step on, by step; steps count from 0, where warm-up begins.
    """

    name = "steps"

    changes: Mapping[int, float] = field(default_factory=dict)

    def rate(self, step: int, learning_rate: float, steps: int) -> float:
        reached = [start for start in self.changes if start <= step + self.warmup]
        return self.changes[max(reached)] if reached else learning_rate

    def check(self) -> None:
        super().check()
        for step, rate in self.changes.items():
            check_rate(rate)
            if whole_number("schedule", step) < 0:
                raise UserError(f"The schedule names step {step}, but steps count from 0.")
