"""Schedules as text: `1600:0.005,3600:0.001`, or `warmup=500,cosine,min=0.0001`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any, TypeVar

from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.training.schedules.schedule import Schedule
from svgd_onnx.training.schedules.steps import Steps

_GRAMMAR = "write 1600:0.005,3600:0.001, or a name with settings as warmup=500,cosine,min=0.0001"
# From the text of a setting, by the type that its field is declared with.
_FROM_TEXT = {"int": int, "float": float, "str": str}

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def parse(text: str, kinds: Mapping[str, type[Schedule]]) -> Schedule:
    """Makes a schedule of its text.

    Args:
        text: items with commas between: STEP:RATE, or the name of a schedule and settings of it as KEY=VALUE,
            among which `warmup` is one of each.
        kinds: of schedules, by name.

    Raises:
        UserError: shows how to write it.
    """
    changes: dict[int, float] = {}
    settings: dict[str, str] = {}
    names = []
    for item in (each.strip() for each in text.split(",")):
        step, colon, rate = item.partition(":")
        key, equals, value = item.partition("=")
        try:
            if colon:
                _add(changes, int(step), float(rate))
            elif equals and key[:1].isalpha():
                _add(settings, key, value)
            elif item in kinds:
                names.append(item)
            else:
                raise ValueError(item)
        except ValueError:
            raise UserError(
                f"{option('schedule')} has '{item}', which is not STEP:RATE, one of {', '.join(kinds)}, or a "
                f"setting of it, or is there twice: {_GRAMMAR}."
            ) from None
    if len(names) > 1 or (names and changes):
        raise UserError(f"{option('schedule')} is '{text}', which is several: {_GRAMMAR}.")
    kind = kinds[names[0]] if names else Steps
    given: dict[str, Any] = {} if names else {"changes": changes}
    known = {
        field.name.replace("_", "-"): field for field in fields(kind) if field.name != "changes"
    }
    for key, value in settings.items():
        given.update(_setting(key, value, known, names))
    return kind(**given)


def _add(found: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    if key in found:
        raise ValueError(key)
    found[key] = value


def _setting(
    key: str, value: str, known: Mapping[str, Field[Any]], names: list[str]
) -> dict[str, Any]:
    """A setting under the name of its field."""
    of = names[0] if names else "STEP:RATE"
    if key not in known:
        raise UserError(
            f"{option('schedule')} has '{key}={value}', but {of} has {listed(known)} only: {_GRAMMAR}."
        )
    field = known[key]
    try:
        return {field.name: _FROM_TEXT[str(field.type)](value)}
    except ValueError:
        wanted = {"int": "a whole number", "float": "a number"}[str(field.type)]
        raise UserError(
            f"{option('schedule')} has '{key}={value}', but {key} is {wanted}: {_GRAMMAR}."
        ) from None
