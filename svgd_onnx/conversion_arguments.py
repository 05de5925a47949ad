"""What the commands' options say that stand for more than a word: axes, sizes, weights, numbers by globs."""

from __future__ import annotations

import re

from svgd_onnx.errors import UserError, option
from svgd_onnx.training import data


def parse_axes(items: list[str]) -> dict[str, int | None]:
    """Axes by the name of a tensor: "x=1" or "x=none".

    Raises:
        UserError: one is not written so.
    """
    axes: dict[str, int | None] = {}
    for item in items:
        name, _, axis = item.rpartition("=")
        if not name or not re.fullmatch(r"-?\d+|none", axis):
            raise UserError(
                f"{option('batch_axis')} has '{item}', which is not NAME=AXIS: write it as x=1, or x=none."
            )
        axes[name] = None if axis == "none" else int(axis)
    return axes


def parse_weights(text: str) -> tuple[float, ...]:
    """Numbers with commas between, or in an `.npy` file.

    Raises:
        UserError: they are not.
    """
    if text.endswith(".npy"):
        return tuple(float(weight) for weight in data.load_vector(text))
    try:
        return tuple(float(item) for item in text.split(","))
    except ValueError:
        raise UserError(
            f"{option('class_weights')} is '{text}': give a number a class, as 0.5,1,2, or a .npy file."
        ) from None


def parse_sizes(name_of_option: str, items: list[str]) -> dict[str, int]:
    """Sizes by the name of an axis: "sequence=16".

    Args:
        name_of_option: what they are of.
        items: as they are written.

    Raises:
        UserError: one is not written so.
    """
    sizes = {}
    for item in items:
        name, _, size = item.rpartition("=")
        if not name or not size.isdigit() or int(size) < 1:
            raise UserError(
                f"{option(name_of_option)} has '{item}', which is not AXIS=N: write it as sequence=16."
            )
        sizes[name] = int(size)
    return sizes


def parse_numbers(
    name_of_option: str, items: list[str], plain: str | None = None
) -> dict[str, float]:
    """Numbers by globs of parameters: "*.bias=0".

    Args:
        name_of_option: what they are of.
        items: as they are written, the last of which counts.
        plain: the glob that a number alone is for, whatever the order; None where there is none.

    Raises:
        UserError: one is not written so.
    """
    alone = "" if plain is None else "a number or "
    wanted = f"{alone}GLOB=NUMBER: write it as '*.bias=0.1'"
    numbers: dict[str, float] = {}
    for item in items:
        glob, equals, number = item.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            raise _not(name_of_option, item, wanted) from None
        if equals and glob:
            numbers.pop(glob, None)
            numbers[glob] = value
        elif plain is None or equals:
            raise _not(name_of_option, item, wanted)
        else:
            numbers = {plain: value, **{each: numbers[each] for each in numbers if each != plain}}
    return numbers


def _not(name_of_option: str, item: str, wanted: str) -> UserError:
    return UserError(f"{option(name_of_option)} has '{item}', which is not {wanted}.")


def parse_loss_scale(text: str | None) -> float | str | None:
    """A number, where it is one: another text is refused where it is used."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text
