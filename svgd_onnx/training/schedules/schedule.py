"""What a schedule is, and the learning rates that it gives to a training."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from svgd_onnx.argument_types import real_number, shown
from svgd_onnx.errors import LARGEST_FLOAT32, UserError, option


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The learning rate of each step.

    A subclass gives `rate`, and has its settings as fields.

    Args:
        warmup: for so many steps the rate rises in equal parts to the first rate of what follows: step t,
            counted from 0, has (t + 1) / (warmup + 1) of it.

    Attributes:
        name: in the text of a schedule.

    Example:
        >>> class Halved(svgd_onnx.Schedule):
        ...     def rate(self, step, learning_rate, steps):
        ...         return learning_rate * 0.5 ** (step // 100)
        >>> options = {"steps": 3, "batch_size": 16, "learning_rate": 0.1}
        >>> result = trainer.train(examples, schedule=Halved(warmup=2), **options)
    """

    name: ClassVar[str] = ""

    warmup: int = 0

    def rate(self, step: int, learning_rate: float, steps: int) -> float:
        """The rate of a step after warm-up.

        Args:
            step: counted from the end of warm-up, from 0.
            learning_rate: alpha.
            steps: how many there are after warm-up.

        Returns:
            The rate of that step.
        """
        raise NotImplementedError

    def peak(self, learning_rate: float, values: Sequence[float]) -> float:
        """The learning rate that `rate` is given, which here is the one that training was given.

        Args:
            learning_rate: alpha.
            values: `metric` after each epoch so far; NaN where it was not finite.

        Returns:
            That rate.
        """
        return learning_rate

    @property
    def metric(self) -> str | None:
        """The validation metric that the rates depend on; None if they depend on none."""
        return None

    def check(self) -> None:
        """Refuses settings out of range.

        Raises:
            UserError: names the setting.
        """
        require("warmup", self.warmup, self.warmup >= 0, "0 or more")


def require(name: str, value: float, inside: bool, wanted: str) -> None:
    """Refuses a setting of a schedule that is not finite or not inside its range.

    Raises:
        UserError: says what is wanted.
    """
    if not (math.isfinite(value) and inside):
        raise UserError(
            f"{option('schedule')} has {name.replace('_', '-')}={value}, but it must be {wanted}."
        )


class Rates:
    """The learning rates of a training.

    Args:
        schedule: where they come from, checked.
        learning_rate: alpha.
        steps: how many the training has in all.

    Raises:
        UserError: there is no step after warm-up.
    """

    def __init__(self, schedule: Schedule, learning_rate: float, steps: int) -> None:
        if schedule.warmup >= steps:
            raise UserError(
                f"{option('schedule')} has warmup={schedule.warmup}, but there are {steps} steps in all: give "
                "it fewer."
            )
        self._schedule, self._learning_rate = schedule, learning_rate
        self._steps = steps - schedule.warmup
        self._peak = learning_rate

    def follow(self, values: Sequence[float]) -> None:
        """Takes the schedule's metric after each epoch so far into account."""
        self._peak = self._schedule.peak(self._learning_rate, values)

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0.

        Raises:
            UserError: a schedule of the user's own gives something else.
        """
        warmup = self._schedule.warmup
        if step >= warmup:
            return self._of_schedule(step - warmup)
        return self._of_schedule(0) * (step + 1) / (warmup + 1)

    def _of_schedule(self, step: int) -> float:
        given = self._schedule.rate(step, self._peak, self._steps)
        return _finite(
            given, f"{type(self._schedule).__name__}.rate gives {shown(given)} for step {step}"
        )


def check_rate(learning_rate: float) -> float:
    """A learning rate as float; refuses one that is negative, or not finite as float32.

    Raises:
        UserError: says what it is.
    """
    rate = real_number("learning_rate", learning_rate)
    return _finite(rate, f"The learning rate is {shown(learning_rate)}")


def _finite(rate: object, said: str) -> float:
    """A rate as float.

    Args:
        rate: what somebody gave.
        said: what it is, to begin a sentence with.

    Raises:
        UserError: it is none.
    """
    given = rate[()] if isinstance(rate, np.ndarray) and not rate.ndim else rate
    found = math.nan
    if isinstance(given, int | float | np.integer | np.floating) and not isinstance(given, bool):
        with contextlib.suppress(OverflowError):
            found = float(given)
    if not 0 <= found <= LARGEST_FLOAT32:
        raise UserError(f"{said}, but a rate must be a number, 0 or more, and finite as float32.")
    return found
