"""How many steps to train, the learning rate of each, and what other numbers training takes."""

from __future__ import annotations

import math
import os
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


def total_steps(epochs: int | None, steps: int | None, steps_per_epoch: int) -> int:
    """How many steps there are in all.

    Raises:
        UserError: both or none are given, or less than 1.
    """
    if (epochs is None) == (steps is None):
        raise UserError(f"Give either {option('epochs')} or {option('steps')}.")
    name, value = ("epochs", epochs) if steps is None else ("steps", steps)
    assert value is not None
    check_positive(name, value)
    return value * steps_per_epoch if steps is None else value


def check_positive(name: str, value: int | None) -> None:
    """Refuses an option that counts and is below 1.

    Raises:
        UserError: names it.
    """
    if value is not None and value < 1:
        raise UserError(f"{option(name)} is {value}, but must be 1 or more.")


_MOST_SEED = 2**64 - 1
# Of threads: more than the cores is slower, and far more is more than a system gives.
_MANY = 64


def check_seed(seed: int | None) -> None:
    """Refuses a seed that is negative or does not fit 64 bits.

    Raises:
        UserError: names the range.
    """
    if seed is not None and not 0 <= seed <= _MOST_SEED:
        raise UserError(f"{option('seed')} is {seed}, but must be from 0 to {_MOST_SEED}.")


def check_threads(threads: int | None) -> None:
    """Refuses a number of threads below 1, or far beyond what the machine runs at once.

    Raises:
        UserError: says how many cores there are.
    """
    check_positive("threads", threads)
    cores = os.cpu_count() or 1
    most = max(_MANY, 4 * cores)
    if threads is not None and threads > most:
        raise UserError(
            f"{option('threads')} is {threads}, but this machine has {cores} cores: give at most {most}, or "
            "leave it out for one a core."
        )
