"""Examples of Python objects: any with a length and rows, or any that can be gone through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from svgd_onnx.errors import UserError
from svgd_onnx.training.given_array import given_array
from svgd_onnx.training.sources.source import Values


def has_rows(given: object) -> bool:
    """Whether an object is one that `SequenceSource` takes."""
    return hasattr(given, "__len__") and hasattr(given, "__getitem__") and not is_one_number(given)


def is_one_number(given: object) -> bool:
    """Whether it is an array of no axis, which has no length and no rows for all its methods."""
    return isinstance(given, np.ndarray) and not given.ndim


class SequenceSource:
    """Examples of an object with `__len__` and `__getitem__`.

    Args:
        rows: what gives an example for a number: a mapping of arrays by name, or a tuple of arrays, which are
            the model's inputs in its order and the label.

    Raises:
        UserError: there is no example, or the first is neither.
    """

    title = "the data"
    reads_columns = False
    texts: frozenset[str] = frozenset()

    def __init__(self, rows: Any) -> None:
        self._rows = rows
        if not len(rows):
            raise UserError("There is no example in the data: it is empty.")
        try:
            example = rows[0]
        except KeyError as error:  # as a table of pandas, whose keys are its columns
            if error.args != (0,):
                raise
            raise UserError(
                f"Data of {type(rows).__name__} gives no example for the number 0: give arrays by name."
            ) from error
        first = as_mapping(example)
        self.own_names = not isinstance(example, Mapping)
        self.columns: Sequence[str] = tuple(first)

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, columns: Sequence[str], rows: np.ndarray) -> dict[str, Values]:
        return stacked([as_mapping(self._rows[int(row)]) for row in rows], columns)

    def classes_of(self, column: str, given: Sequence[str] | None = None) -> tuple[str, ...]:
        return ()

    def name_of(self, row: int) -> str | None:
        return None

    def apart(self) -> SequenceSource:
        return self


class Stream:
    """Examples, or batches of them, of what can be gone through again and again.

    Args:
        examples: an iterable, or a function that gives an iterator. Each thing it gives is an example or a
            batch, as a mapping of arrays by name or a tuple of arrays.
    """

    def __init__(self, examples: Iterable[Any] | Callable[[], Iterable[Any]]) -> None:
        self._examples = examples

    def __iter__(self) -> Iterator[Mapping[str, np.ndarray]]:
        given = self._examples() if callable(self._examples) else self._examples
        return map(as_mapping, given)

    @property
    def once(self) -> bool:
        """Whether it can be gone through once only."""
        return not callable(self._examples) and iter(self._examples) is self._examples


def is_positional(name: str) -> bool:
    """Whether `as_mapping` made a name of a place in a tuple."""
    return name.isdigit()


def as_mapping(given: Any) -> dict[str, np.ndarray]:
    """An example or a batch by name, copied; those of a tuple are called by their place.

    Raises:
        UserError: it is neither a mapping nor a tuple, or has masked numbers.
    """
    if isinstance(given, Mapping):
        return {str(name): _copy(str(name), value) for name, value in given.items()}
    if isinstance(given, tuple | list):
        return {str(place): _copy(str(place), value) for place, value in enumerate(given)}
    raise UserError(
        f"An example is of {type(given).__name__}: give a dictionary of arrays by name, or a tuple of them."
    )


def _copy(name: str, given: Any) -> np.ndarray:
    """An array that stays as it is where the caller fills one buffer again and again."""
    return np.array(given_array(given, f"'{name}' of an example of the data"))


def stacked(
    examples: Sequence[Mapping[str, np.ndarray]], columns: Sequence[str]
) -> dict[str, Values]:
    """Examples in arrays, examples along the first axis; pictures that differ in size in lists.

    Raises:
        UserError: an example lacks a name, or numbers differ in shape.
    """
    taken: dict[str, Values] = {}
    for name in columns:
        missing = [example for example in examples if name not in example]
        if missing:
            raise UserError(f"An example of the data has no '{name}', which the first one has.")
        values = [example[name] for example in examples]
        if len({value.shape for value in values}) == 1:
            taken[name] = np.stack(values)
        elif all(value.dtype == np.uint8 for value in values):
            taken[name] = values
        else:
            raise UserError(f"Examples of '{name}' in the data differ in shape: make them alike.")
    return taken
