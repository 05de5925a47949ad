"""Which number of a batch a runtime found out of range."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from svgd_onnx.errors import UserError
from svgd_onnx.manifest import Tensor

_GREATEST = np.iinfo(np.int64).max
# What onnxruntime's kernels call it: Gather and ScatterElements, GatherND and ScatterND, GatherElements,
# ReverseSequence.
_VALUE = re.compile(r"(?:idx=|index = |indice = |Actual value is |sequence length: )(-?\d+)")
_RANGE = re.compile(r"\[(-?\d+) ?, ?(-?\d+)\]")
# Names of nodes that conversion put there to look: at indices that count from 0, and at divisors.
_CHECKED, _DIVISOR = "/checked/", "/divisor/"


class OutOfRangeError(UserError):
    """An index is out of range.

    Args:
        array: the array's name.
        source: what to call the data.
        value: the index.
        place: where it is, in words.
        lowest: the least that is in range.
        highest: the greatest; None, or the greatest of int64, where that is not known.
    """

    def __init__(
        self, array: str, source: str, value: int, place: str, lowest: int, highest: int | None
    ) -> None:
        open_ = highest in (None, _GREATEST) and lowest > -_GREATEST
        range_ = f"{lowest} or more" if open_ else f"{lowest} to {highest}"
        super().__init__(
            f"Array '{array}' in {source} has {value} in {place}, where only {range_} is in range."
        )


@dataclass(frozen=True)
class IndexAtFault:
    """A number of a batch that a kernel refused.

    Attributes:
        tensor: what its array is for.
        index: its place in the array.
        value: the number.
        range: the least and the greatest number that is in range; None if 0 is what is not.
    """

    tensor: Tensor
    index: tuple[int, ...]
    value: int
    range: tuple[int, int] | None

    def error(self, source: str, rows: Sequence[int] | np.ndarray | None = None) -> UserError:
        """What to raise.

        Args:
            source: what to call the data.
            rows: of that data, which the batch is of; None if it is the batch.
        """
        place = place_of(self.index, self.tensor, rows)
        if self.range is None:
            name = self.tensor.name
            return UserError(
                f"Array '{name}' in {source} has {self.value} in {place}, by which the model divides."
            )
        return OutOfRangeError(self.tensor.name, source, self.value, place, *self.range)


def place_of(
    index: Sequence[int], tensor: Tensor, rows: Sequence[int] | np.ndarray | None = None
) -> str:
    """Where a number is, in words: its row, or its place in what has no rows."""
    axis = tensor.batch_axis
    if axis is None or not index:
        return f"place {index[0] if len(index) == 1 else tuple(index)}"
    row = index[axis]
    return f"row {row if rows is None else int(rows[row])}"


def find(
    message: str, tensors: Sequence[Tensor], arrays: Sequence[np.ndarray]
) -> IndexAtFault | None:
    """The number that a message of onnxruntime is about; None if it is about no number of the batch.

    Args:
        message: what onnxruntime raised.
        tensors: what the arrays are for.
        arrays: the batch.
    """
    value, range_ = _VALUE.search(message), _RANGE.search(message)
    if value is None:
        return None
    number = int(value[1])
    bounds = (int(range_[1]), int(range_[2])) if range_ is not None else (0, _GREATEST)
    checked = _CHECKED in message
    divisor = _DIVISOR in message
    if checked:
        bounds = (0, bounds[1])
    # the label first, which is the last
    for tensor, array in list(zip(tensors, arrays))[::-1]:
        if array.dtype.kind not in "iu":
            continue
        wrong = array == (0 if divisor else number)
        if checked and number == _GREATEST:
            wrong |= array < 0  # it stands for them
        if wrong.any():
            index = tuple(int(axis) for axis in np.argwhere(np.atleast_1d(wrong))[0])
            found = int(np.atleast_1d(array)[index])
            return IndexAtFault(tensor, index, found, None if divisor else bounds)
    return None
