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
    if isinstance(given, np.ma.MaskedArray) and np.ma.is_masked(given):
        raise UserError(f"{title} has masked numbers: fill them, or leave their examples out.")
    return np.asarray(given)
