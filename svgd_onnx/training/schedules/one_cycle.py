"""Up to the learning rate and down to nothing, in one cycle."""

from __future__ import annotations

import math
from dataclasses import dataclass

from svgd_onnx.training.schedules.schedule import Schedule, require


@dataclass(frozen=True, kw_only=True)
class OneCycle(Schedule):
    """Half a cosine from alpha / div_factor to alpha, and one down to alpha / (div_factor final_div_factor).

    Smith and Topin, arXiv 1708.07120; PyTorch's OneCycleLR, of the learning rate alone: momentum stays.
    The rate is alpha at step pct_start T - 1 of T, and the lowest at the last.

    Args:
        pct_start: the share of the steps in which it rises, in (0, 1).
        div_factor: how many times lower than alpha it begins.
        final_div_factor: how many times lower than it began it ends.
    """

    name = "one-cycle"

    pct_start: float = 0.3
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def rate(self, step: int, learning_rate: float, steps: int) -> float:
        first = learning_rate / self.div_factor
        top, last = self.pct_start * steps - 1.0, steps - 1.0
        if step <= top:
            return _half_cosine(first, learning_rate, step / top if top else 1.0)
        return _half_cosine(
            learning_rate, first / self.final_div_factor, (step - top) / (last - top)
        )

    def check(self) -> None:
        super().check()
        require("pct_start", self.pct_start, 0 < self.pct_start < 1, "above 0 and below 1")
        for name in ("div_factor", "final_div_factor"):
            value = getattr(self, name)
            require(name, value, value > 0, "above 0")


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2.0 * (1.0 + math.cos(math.pi * share))
