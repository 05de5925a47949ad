"""How many steps to train, the learning rate of each, and what other numbers training takes."""

from __future__ import annotations

import math
from collections.abc import Mapping

from svgd_onnx.errors import UserError, option


class Schedule:
    """The learning rate, which may change at some steps.

    Args:
        learning_rate: from step 0 on.
        changes: the rate from a step on, by step; steps count from 0.

    Raises:
        UserError: a rate or a step is negative, or a rate is not finite.
    """

    def __init__(self, learning_rate: float, changes: Mapping[int, float] | None = None) -> None:
        self._rates = [(0, learning_rate), *sorted((changes or {}).items())]
        for step, rate in self._rates:
            if not math.isfinite(rate) or rate < 0:
                raise UserError(f"The learning rate is {rate}, but must be 0 or more.")
            if step < 0:
                raise UserError(f"The schedule names step {step}, but steps count from 0.")

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        return next(rate for start, rate in reversed(self._rates) if step >= start)


def check_length(epochs: int | None, steps: int | None) -> None:
    """Refuses to train neither for some epochs nor for some steps, or for both.

    Raises:
        UserError: both or none are given, or less than 1.
    """
    if (epochs is None) == (steps is None):
        raise UserError(f"Give either {option('epochs')} or {option('steps')}.")
    check_positive(epochs=epochs, steps=steps)


def total_steps(epochs: int | None, steps: int | None, steps_per_epoch: int) -> int:
    """How many steps there are in all, of which one is given."""
    if steps is not None:
        return steps
    assert epochs is not None
    return epochs * steps_per_epoch


def check_positive(**counts: int | None) -> None:
    """Refuses options that count and are below 1.

    Raises:
        UserError: names the first.
    """
    for name, value in counts.items():
        if value is not None and value < 1:
            raise UserError(f"{option(name)} is {value}, but must be 1 or more.")
