"""Norms and products of large float32 arrays, without copies of them in float64."""

from __future__ import annotations

from math import isfinite, sqrt

import numpy as np

_CHUNK = 1 << 16
_SMALLEST_SIZE = 1e-2


def size_of(value: np.ndarray) -> float:
    """The root of the mean of squares, but never too small to move by; of what is finite."""
    found = norm(value)
    if not isfinite(found):
        value = value[np.isfinite(value)]
        found = norm(value)
    return max(found / sqrt(max(value.size, 1)), _SMALLEST_SIZE)


def change(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    """new - old, and 0 where either is infinite: a row of -inf that nothing reads does not move."""
    found: np.ndarray = new - old
    if not isfinite(product(found, found)):
        found[~np.isfinite(found)] = 0
    return found


def norm(array: np.ndarray) -> float:
    """The root of the sum of squares."""
    return sqrt(product(array, array))


def product(one: np.ndarray, two: np.ndarray) -> float:
    """The sum of products, in pieces that float32 adds up well."""
    one, two = one.reshape(-1), two.reshape(-1)
    return sum(
        float(np.dot(one[start : start + _CHUNK], two[start : start + _CHUNK]))
        for start in range(0, one.size, _CHUNK)
    )
