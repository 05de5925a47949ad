"""What a caller in Python gives, as Python's own, whatever type it had; or refused in a sentence.

What is kept of a training is written down when it is saved, which would be too late to find a type that no
checkpoint holds.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from svgd_onnx.errors import UserError, check_several, option
from svgd_onnx.files import PathLike

_Value = TypeVar("_Value")
_LONGEST = 80  # characters of a value that a sentence has


def whole_number(name: str, value: int) -> int:
    """An integer, NumPy's among them, as int.

    Raises:
        UserError: it is none, as 2.0 and True are not.
    """
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        return operator.index(value)
    except TypeError as error:
        raise _refusal(name, value, "a whole number") from error


def real_number(name: str, value: float) -> float:
    """A number, NumPy's among them, as float.

    Raises:
        UserError: it is none, as '0.1' and True are not, or float holds none as large.
    """
    is_number = isinstance(value, int | float | np.integer | np.floating)
    if not is_number or isinstance(value, bool):
        raise _refusal(name, value, "a number")
    try:
        return float(value)
    except OverflowError as error:
        raise _refusal(name, value, "a number that float holds") from error


def yes_or_no(name: str, value: bool) -> bool:
    """True or False, NumPy's among them, as bool.

    Raises:
        UserError: it is neither: a text that says no would count as yes.
    """
    if not isinstance(value, bool | np.bool_):
        raise _refusal(name, value, "True or False")
    return bool(value)


def text(name: str, value: str) -> str:
    """A text.

    Raises:
        UserError: it is none.
    """
    if not isinstance(value, str):
        raise _refusal(name, value, "a text")
    return value


def several_texts(name: str, value: Iterable[str]) -> list[str]:
    """Texts, of a list or anything else that gives them one by one; one text alone is no list of its letters.

    Raises:
        UserError: it is something else.
    """
    check_several(name, value)
    try:
        found = list(value)
    except TypeError as error:
        raise _refusal(name, value, "a list of texts") from error
    if not all(isinstance(each, str) for each in found):
        raise _refusal(name, value, "a list of texts")
    return found


def by_name(name: str, value: Mapping[str, _Value]) -> Mapping[str, _Value]:
    """A mapping whose keys are texts.

    Raises:
        UserError: it is something else.
    """
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise _refusal(name, value, "a dictionary with texts as keys")
    return value


def path(name: str, value: PathLike) -> Path:
    """A path.

    Raises:
        UserError: it is none, as no text with NUL in it is.
    """
    if not isinstance(value, str | os.PathLike) or "\0" in str(value):
        raise _refusal(name, value, "a path")
    return Path(value)


def shown(value: object) -> str:
    """A value as Python writes it, cut where it is long."""
    try:
        written = repr(value)
    except ValueError:  # of a number of thousands of digits
        return "a number that is far too large"
    return written if len(written) <= _LONGEST else f"{written[:_LONGEST]}..."


def _refusal(name: str, value: Any, wanted: str) -> UserError:
    return UserError(f"{option(name)} is {shown(value)}, but must be {wanted}.")
