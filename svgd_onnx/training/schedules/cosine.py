"""Half a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from svgd_onnx.training.schedules.schedule import Schedule, require


@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """min + (alpha - min) (1 + cos(pi t / T)) / 2, of step t of T.

    Loshchilov and Hutter, arXiv 1608.03983, without restarts; PyTorch's CosineAnnealingLR.

    Args:
        min: what the rate falls to.
    """

    name = "cosine"

    min: float = 0.0

    def rate(self, step: int, learning_rate: float, steps: int) -> float:
        share = (1.0 + math.cos(math.pi * step / steps)) / 2.0
        return self.min + (learning_rate - self.min) * share

    def check(self) -> None:
        super().check()
        require("min", self.min, self.min >= 0, "0 or more")
