"""Numbers and switches that a caller in Python gives, as Python's own, whatever type they had.

What is kept of a training is written down when it is saved, which would be too late to find a type that no
checkpoint holds.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from svgd_onnx.errors import UserError, option


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


def _refusal(name: str, value: Any, wanted: str) -> UserError:
    return UserError(f"{option(name)} is {value!r}, but must be {wanted}.")
