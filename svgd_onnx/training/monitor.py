"""Whether validation still improves: what early stopping, the best checkpoint and plateaus ask.

All of it follows from the validations so far, which the checkpoint has: a run that is interrupted and resumed
decides as one that is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from svgd_onnx.errors import check_range, counted
from svgd_onnx.targets.training_progress import Validation
from svgd_onnx.training.length import check_positive
from svgd_onnx.training.metrics import is_better_higher


def after_epochs(validations: Sequence[Validation], metric: str) -> list[float]:
    """A metric after each epoch at whose end it was computed; NaN where it was not finite."""
    return [_number(each.values[metric]) for each in validations if metric in each.values]


@dataclass(frozen=True)
class Monitor:
    """What is watched.

    Args:
        metric: "loss" or a metric, of the validation data.
        patience: after how many epochs without improvement training ends; None for never.
        min_delta: a value has to be better than the best by more than this to be an improvement.

    Raises:
        UserError: there is no such metric, or a number is out of range.
    """

    metric: str
    patience: int | None = None
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        is_better_higher(self.metric)
        check_positive(early_stopping=self.patience)
        check_range("min_delta", self.min_delta, self.min_delta >= 0, "0 or more")

    def is_over(self, validations: Sequence[Validation]) -> bool:
        """Whether training is to end."""
        return self.patience is not None and self._improved(validations)[1] >= self.patience

    def why_over(self, validations: Sequence[Validation]) -> str:
        """Why training `is_over`, as a clause."""
        values = after_epochs(validations, self.metric)
        missing = sum(map(math.isnan, values))
        if missing == len(values):
            return f"validation {self.metric} was not a finite number after any of {counted(missing, 'epoch')}"
        step, waited = self._improved(validations)
        much = f" by more than {self.min_delta:g}" if self.min_delta else ""
        return (
            f"validation {self.metric} did not improve{much} in {counted(waited, 'epoch')} after step {step}"
            + (f" (after {missing} of them all it was not a finite number)" if missing else "")
        )

    def _improved(self, validations: Sequence[Validation]) -> tuple[int, int]:
        """After how many steps the value last improved, and for how many epochs it has not since."""
        best, step, waited = -math.inf, 0, 0
        for each in validations:
            if self.metric not in each.values:
                continue
            score = self._score(_number(each.values[self.metric]))
            if score > best + self.min_delta:
                best, step, waited = score, each.after_step, 0
            else:
                waited += 1
        return step, waited

    def best_step(self, validations: Sequence[Validation]) -> int | None:
        """After how many steps the value was the best, the first of equals; None where there is none."""
        scores = {
            each.after_step: self._score(_number(each.values[self.metric]))
            for each in validations
            if each.values.get(self.metric) is not None
        }
        return max(scores, key=lambda step: scores[step]) if scores else None

    def is_best(self, validations: Sequence[Validation], best_step: int | None) -> bool:
        """Whether the last validation is better than that of the step whose checkpoint is kept as the best."""
        value = self._score(_number(validations[-1].values.get(self.metric)))
        kept = [each for each in validations[:-1] if each.after_step == best_step]
        best = self._score(_number(kept[-1].values.get(self.metric))) if kept else math.nan
        return value > best or (math.isnan(best) and not math.isnan(value))

    def _score(self, value: float) -> float:
        """A value so that higher is better."""
        return value if is_better_higher(self.metric) else -value


def _number(value: float | None) -> float:
    return math.nan if value is None else value
