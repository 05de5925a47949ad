"""Arrays that a caller hands over."""

from __future__ import annotations

import numpy as np

from svgd_onnx.errors import UserError


def given_array(given: object, title: str) -> np.ndarray:
    """What was given as an array, which is no copy where it is one.

    Args:
        given: an array, or what NumPy makes one of.
        title: what to call it in a message: "Array 'x' in the data".

    Raises:
        UserError: numbers of it are masked: what lies beneath would be taken for them.
        ValueError: it is no array (NumPy's).
    """
    refuse_masked(given, title)
    return np.asarray(given)


def refuse_masked(given: object, title: str) -> None:
    """As `given_array`, of what something else makes an array of.

    Raises:
        UserError: as there.
    """
    parts = given if isinstance(given, list | tuple) else [given]
    if any(np.ma.is_masked(part) for part in parts):
        raise UserError(f"{title} has masked numbers: fill them, or leave their examples out.")
