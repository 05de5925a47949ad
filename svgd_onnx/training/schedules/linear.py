"""A straight line."""

from __future__ import annotations

from dataclasses import dataclass

from svgd_onnx.training.schedules.schedule import Schedule, require


@dataclass(frozen=True, kw_only=True)
class Linear(Schedule):
    """alpha + (min - alpha) t / T, of step t of T; PyTorch's LinearLR from a factor of 1 on.

    Args:
        min: what the rate falls to.
    """

    name = "linear"

    min: float = 0.0

    def rate(self, step: int, learning_rate: float, steps: int) -> float:
        return learning_rate + (self.min - learning_rate) * step / steps

    def check(self) -> None:
        super().check()
        require("min", self.min, self.min >= 0, "0 or more")
