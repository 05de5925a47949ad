"""A rate that falls where a metric stops improving."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from svgd_onnx.training.metrics import is_better_higher
from svgd_onnx.training.schedules.schedule import Schedule, require

# A rate that would fall by no more stays, as PyTorch has it.
_LEAST_CHANGE = 1e-8


@dataclass(frozen=True, kw_only=True)
class Plateau(Schedule):
    """alpha, times `factor` whenever a metric has not improved for more than `patience` epochs.

    PyTorch's ReduceLROnPlateau, with its relative threshold. The rate follows from the metric after each
    epoch, which the checkpoint has.

    Args:
        factor: what the rate is multiplied by, in (0, 1).
        patience: epochs without an improvement that change nothing.
        metric: of the validation data.
        threshold: by what share of the best value a metric has to change to have improved.
        cooldown: epochs after a change of the rate that do not count.
        min: what the rate does not fall below.
    """

    name = "plateau"

    factor: float = 0.1
    patience: int = 10
    metric: str = "loss"
    threshold: float = 1e-4
    cooldown: int = 0
    min: float = 0.0

    def rate(self, step: int, learning_rate: float, steps: int) -> float:
        return learning_rate

    def peak(self, learning_rate: float, values: Sequence[float]) -> float:
        sign = 1.0 if is_better_higher(self.metric) else -1.0
        best, waited, cooling, rate = -sign * math.inf, 0, 0, learning_rate
        for value in values:
            if sign * value > sign * best * (1.0 + sign * self.threshold):
                best, waited = value, 0
            else:
                waited += 1
            if cooling:
                cooling, waited = cooling - 1, 0
            if waited > self.patience:
                lower = max(rate * self.factor, self.min)
                rate = lower if rate - lower > _LEAST_CHANGE else rate
                waited, cooling = 0, self.cooldown
        return rate

    def check(self) -> None:
        super().check()
        require("factor", self.factor, 0 < self.factor < 1, "above 0 and below 1")
        require("threshold", self.threshold, 0 <= self.threshold < 1, "0 or more and below 1")
        for name in ("patience", "cooldown", "min"):
            value = getattr(self, name)
            require(name, value, value >= 0, "0 or more")
        is_better_higher(self.metric)
