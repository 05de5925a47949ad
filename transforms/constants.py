"""Tensors whose numbers tell that they were computed, not learned."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

# What stands in a mask for minus infinity is at least so large; in float16 nothing is larger.
_INFINITE = {"float32": 1e9, "bfloat16": 1e9, "float16": 65504.0}
_NEAR = 1e-4
# Fewer numbers may be in a row by chance.
_FEWEST = 4
# A larger matrix is taken for a weight, whatever it holds; of others so many numbers are looked at first.
LARGEST_WRITTEN, _SAMPLE = 1 << 20, 64
# Filters of a transform have as many places, and are their own mirror images so nearly; what is learned is not.
_SHORTEST_FILTER, _MIRRORED = 8, 0.05


def kind(array: np.ndarray, stored_as: str = "float32") -> str | None:
    """What a constant is, in a few words; None if it may be a parameter.

    Args:
        array: floating-point.
        stored_as: the type that the model as it came has it in.
    """
    numbers = array.astype(np.float64)
    if array.size < _FEWEST:
        return None
    if _is_mask(numbers, _INFINITE[stored_as]):
        return "a mask"
    if _is_grid(numbers):
        return "numbers at equal distances"
    if _is_sinusoid(numbers):
        return "sines and cosines"
    return None


def is_one_number(array: np.ndarray) -> bool:
    """Whether a matrix or a kernel is one number throughout, not 0, as one that sums or averages."""
    first = array.reshape(-1)[:_SAMPLE]  # which tells of most
    return (
        array.size > 1
        and first[0] != 0
        and all((part == first[0]).all() for part in (first, array))
    )


def is_of_ones_and_zeros(array: np.ndarray) -> bool:
    """Whether there is nothing else in a matrix, as in one that selects, and both are."""
    first = array.reshape(-1)[:_SAMPLE]
    return all(np.isin(part, (0, 1)).all() for part in (first, array)) and bool(array.any())


def are_cosine_and_sine(one: ir.TensorProtocol | None, other: ir.TensorProtocol | None) -> bool:
    """Whether the squares of two tensors of one shape add up to 1 everywhere."""
    if one is None or other is None or one.size < _FEWEST:
        return False
    if list(one.shape.numpy()) != list(other.shape.numpy()):
        return False
    first, second = one.numpy().astype(np.float64), other.numpy().astype(np.float64)
    if min(len(np.unique(first)), len(np.unique(second))) < _FEWEST:
        return False  # ones beside zeros are the scale and shift of a normalization
    return bool(np.all(np.abs(first**2 + second**2 - 1) < _NEAR))


def are_transform(filters: np.ndarray) -> bool:
    """Whether filters are windows, or cosines and sines in one: each is even or odd about its middle.

    Fourier transforms, wavelets and low-pass filters are; of a periodic window the first place stands alone.

    Args:
        filters: a row for each.
    """
    if filters.shape[-1] < _SHORTEST_FILTER or not len(filters):
        return False
    for some in (filters[:_FEWEST], filters):  # of learned ones the first few say it
        rows = some.astype(np.float64)
        norms = np.linalg.norm(rows, axis=1)
        spread = np.linalg.norm(rows - rows.mean(axis=1, keepdims=True), axis=1)
        if (spread <= _MIRRORED * norms).all():  # so flat that they are alike from both ends anyway
            return False
        mirrored = rows[:, ::-1]
        distances = [
            np.linalg.norm(rows - sign * other, axis=1)
            for other in (mirrored, np.roll(mirrored, 1, axis=1))
            for sign in (1, -1)
        ]
        if (np.min(distances, axis=0) > _MIRRORED * norms).any():
            return False
    return True


def _is_mask(numbers: np.ndarray, infinite: float) -> bool:
    """Zeros (or ones), and numbers that stand for minus infinity."""
    large = np.abs(numbers) >= infinite
    return bool(large.any()) and len(np.unique(numbers[~large])) <= 1


def _is_grid(numbers: np.ndarray) -> bool:
    """0.5, 1.5, 2.5, … along one axis, as anchors and positions are; of at least four steps."""
    distinct = np.unique(numbers)
    if len(distinct) < _FEWEST or numbers.size < len(distinct):
        return False
    steps = np.diff(distinct)
    return bool(np.all(np.abs(steps - steps[0]) <= _NEAR * abs(steps[0]))) and steps[0] > _NEAR


def _is_sinusoid(numbers: np.ndarray) -> bool:
    """Pairs of columns, neighbours or of either half, on the unit circle."""
    columns = numbers.shape[-1]
    if numbers.ndim < 2 or columns % 2 or numbers.size // columns < _FEWEST:
        return False
    if np.abs(numbers).max() > 1 + _NEAR:
        return False
    half = columns // 2
    pairs = (
        (numbers[..., 0::2], numbers[..., 1::2]),
        (numbers[..., :half], numbers[..., half:]),
    )
    return any(bool(np.all(np.abs(a**2 + b**2 - 1) < _NEAR)) for a, b in pairs)
