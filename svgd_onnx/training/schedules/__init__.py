"""Schedules of the learning rate, one file each, in one table."""

from __future__ import annotations

from collections.abc import Mapping

from svgd_onnx.errors import UserError, option
from svgd_onnx.training.schedules.cosine import Cosine
from svgd_onnx.training.schedules.grammar import parse
from svgd_onnx.training.schedules.linear import Linear
from svgd_onnx.training.schedules.one_cycle import OneCycle
from svgd_onnx.training.schedules.plateau import Plateau
from svgd_onnx.training.schedules.polynomial import Polynomial
from svgd_onnx.training.schedules.schedule import Rates, Schedule, check_rate
from svgd_onnx.training.schedules.steps import Steps

SCHEDULES: dict[str, type[Schedule]] = {
    kind.name: kind for kind in (Cosine, Linear, Polynomial, OneCycle, Plateau)
}

__all__ = [
    "SCHEDULES",
    "Cosine",
    "Linear",
    "OneCycle",
    "Plateau",
    "Polynomial",
    "Rates",
    "Schedule",
    "Steps",
    "as_schedule",
    "check_rate",
]


def as_schedule(given: Schedule | Mapping[int, float] | str | None) -> Schedule:
    """A schedule from itself, from rates by the step from which on they hold, or from its text.

    Raises:
        UserError: it is none of these, or the text cannot be read or has a setting out of range.
    """
    if given is None or given == "":
        return Steps()
    if isinstance(given, str):
        given = parse(given, SCHEDULES)
    elif isinstance(given, Mapping):
        given = Steps(changes=dict(given))
    if not isinstance(given, Schedule):
        raise UserError(
            f"{option('schedule')} is {given!r}: give rates by step ({{1600: 0.005}}), a text such as "
            "'warmup=500,cosine', or a svgd_onnx.Schedule."
        )
    given.check()
    return given
