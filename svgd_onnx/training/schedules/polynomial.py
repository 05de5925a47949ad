"""A power of what is left of the training."""

from __future__ import annotations

from dataclasses import dataclass

from svgd_onnx.training.schedules.schedule import Schedule, require


@dataclass(frozen=True, kw_only=True)
class Polynomial(Schedule):
    """min + (alpha - min) (1 - t / T)^power, of step t of T; PyTorch's PolynomialLR, where min is 0.

    Args:
        power: the exponent.
        min: what the rate falls to.
    """

    name = "polynomial"

    power: float = 1.0
    min: float = 0.0

    def rate(self, step: int, learning_rate: float, steps: int) -> float:
        left: float = (1.0 - step / steps) ** self.power
        return self.min + (learning_rate - self.min) * left

    def check(self) -> None:
        super().check()
        require("power", self.power, self.power > 0, "above 0")
        require("min", self.min, self.min >= 0, "0 or more")
