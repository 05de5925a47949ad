"""Which number of a batch a runtime found out of range."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from svgd_onnx.errors import UserError
from svgd_onnx.manifest import Tensor

_GREATEST = np.iinfo(np.int64).max
# Of a float that is cast to int64.
_FARTHEST = 2.0**63
# What onnxruntime's kernels call it: Gather and ScatterElements, GatherND and ScatterND, GatherElements,
# ReverseSequence.
_VALUE = re.compile(r"(?:idx=|index = |indice = |Actual value is |sequence length: )(-?\d+)")
_RANGE = re.compile(r"\[(-?\d+) ?, ?(-?\d+)\]")
# In the name of a node that conversion put there to look (`transforms.check_indices`): at what, the places of
# the inputs that this is computed from, and an index that is in range whatever the range is. How far a box
# reaches it looks at, rounded up, in pixels: of these a coordinate of 1 is so many.
_LOOKS = re.compile(
    r"/(checked|counted|divisor|reached|steps) (?:(\S+) )?of ([\d,]*|label)(?: except (-?\d+))?/"
)
_WHY = {
    "divisor": "by which the model divides",
    "box": "which is farther from the image than boxes may reach (16 times its longer side)",
}


class OutOfRangeError(UserError):
    """An index is out of range.

    Args:
        array: the array's name.
        source: what to call the data.
        value: the index.
        place: where it is, in words.
        range_: the least and the greatest that is in range; None where that is not known.
    """

    def __init__(
        self, array: str, source: str, value: int, place: str, range_: tuple[int, int] | None
    ) -> None:
        where = "which is out of range"
        if range_ is not None:
            lowest, highest = range_
            open_ = highest == _GREATEST and lowest > -_GREATEST
            known = f"{lowest} or more" if open_ else f"{lowest} to {highest}"
            where = f"where only {known} is in range"
        super().__init__(f"Array '{array}' in {source} has {value} in {place}, {where}.")


@dataclass(frozen=True)
class IndexAtFault:
    """A number of a batch that a kernel refused.

    Attributes:
        tensor: what its array is for.
        index: its place in the array.
        value: the number.
        range: the least and the greatest number that is in range; None where that is not known.
        kind: what it is: an "index", a "divisor" or a corner of a "box"; or that there are no "steps", where
            `index` is the array's shape.
    """

    tensor: Tensor
    index: tuple[int, ...]
    value: float
    range: tuple[int, int] | None
    kind: str = "index"

    def error(self, source: str, rows: Sequence[int] | np.ndarray | None = None) -> UserError:
        """What to raise.

        Args:
            source: what to call the data.
            rows: of that data, which the batch is of; None if it is the batch.
        """
        if self.kind == "steps":
            return no_step(self.tensor.name, source, self.index)
        place = place_of(self.index, self.tensor, rows)
        if self.kind != "index":
            why = _WHY[self.kind]
            return UserError(
                f"Array '{self.tensor.name}' in {source} has {self.value:g} in {place}, {why}."
            )
        return OutOfRangeError(self.tensor.name, source, int(self.value), place, self.range)


def no_step(array: str, source: str, shape: Sequence[int]) -> UserError:
    """What to raise of an empty array that a recurrent layer reads, over no step of which onnxruntime dies."""
    return UserError(
        f"Array '{array}' in {source} has the shape {tuple(shape)}, and the model's recurrent layer wants a "
        "step at least: leave such examples out."
    )


def place_of(
    index: Sequence[int], tensor: Tensor, rows: Sequence[int] | np.ndarray | None = None
) -> str:
    """Where a number is, in words: its row, or its place in what has no rows."""
    axis = tensor.batch_axis
    if axis is None or not index:
        return f"place {index[0] if len(index) == 1 else tuple(index)}"
    row = index[axis]
    return f"row {row if rows is None else int(rows[row])}"


def _without_steps(
    places: Sequence[int], tensors: Sequence[Tensor], arrays: Sequence[np.ndarray]
) -> IndexAtFault | None:
    """The array that is empty."""
    empty = [place for place in places if not arrays[place].size]
    if not empty:
        return None
    return IndexAtFault(tensors[empty[0]], arrays[empty[0]].shape, 0, None, "steps")


def find(
    message: str, tensors: Sequence[Tensor], arrays: Sequence[np.ndarray]
) -> IndexAtFault | None:
    """The number that a message of onnxruntime is about; None if it is about no number of the batch.

    Args:
        message: what onnxruntime raised.
        tensors: what the arrays are for.
        arrays: the batch.
    """
    value, range_, looks = (each.search(message) for each in (_VALUE, _RANGE, _LOOKS))
    if value is None:
        return None
    number = int(value[1])
    bounds = None if range_ is None else (int(range_[1]), int(range_[2]))
    places: Sequence[int] = range(len(arrays))
    kind, pixels, ignored = "index", None, None
    if looks is not None:
        looked, pixels, of, ignored = looks.groups()
        kind = {"divisor": "divisor", "reached": "box"}.get(looked, "index")
        places = [len(arrays) - 1] if of == "label" else [int(at) for at in of.split(",") if at]
        if looked == "steps":
            return _without_steps(places, tensors, arrays)
        if looked == "checked" and bounds is not None:
            bounds = (0, bounds[1])
    # a number that is cast to an integer may be an index too
    for place in sorted(places, key=lambda place: arrays[place].dtype.kind == "f"):
        array = np.atleast_1d(arrays[place])
        if pixels is not None:
            reached = np.ceil(np.abs(array * np.float32(pixels)))
            wrong = (reached == number) | ~(reached < _FARTHEST)
        else:
            wrong = array == (0 if kind == "divisor" else number)
        # the greatest number stands for what is negative
        if kind == "index" and looks is not None and number == _GREATEST:
            wrong |= (array < 0) & (array != int(ignored or 0))
        if wrong.any():
            index = tuple(int(axis) for axis in np.argwhere(wrong)[0])
            return IndexAtFault(tensors[place], index, array[index].item(), bounds, kind)
    return None
