"""What ranks of a job tell each other. All of them call the same functions in the same order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np

from svgd_onnx.errors import UserError, option

_Made = TypeVar("_Made")


class Communicator(Protocol):
    """The ranks of a job, seen by one of them.

    Attributes:
        rank: its number, from 0.
        size: how many there are.
        neighbours: how many of them are on this machine.
    """

    rank: int
    size: int
    neighbours: int

    def all_reduce(self, numbers: np.ndarray) -> None:
        """Makes float32 or float64 numbers, a contiguous vector, their sums over all ranks, where they lie."""
        ...

    def exchanged(self, messages: np.ndarray) -> np.ndarray:
        """Row k goes to rank k, and row k of what comes is from there; (size, n) uint16, contiguous."""
        ...

    def gathered_rows(self, message: np.ndarray) -> np.ndarray:
        """The message of each rank, by rank; (n) uint16 on all, (size, n) is given."""
        ...

    def from_first(self, make: Callable[[], _Made]) -> _Made:
        """What the first rank makes; the others wait for it."""
        ...

    def gathered(self, value: Any) -> list[Any]:
        """A small value of each rank, by rank."""
        ...

    def finish(self) -> None:
        """Says that no other rank waits for this one, until it calls a function again.

        A rank that ends at another moment ends the job.
        """
        ...


def check_communicator(given: object) -> None:
    """Refuses what is none.

    Raises:
        UserError: says what it is.
    """
    if not callable(getattr(given, "from_first", None)):
        raise UserError(
            f"{option('communicator')} is {given!r}, but must be what svgd_onnx.distributed.join gives."
        )


class Alone:
    """One rank, which there is no more than."""

    rank, size, neighbours = 0, 1, 1

    def all_reduce(self, numbers: np.ndarray) -> None:
        """See `Communicator`."""

    def exchanged(self, messages: np.ndarray) -> np.ndarray:
        """See `Communicator`."""
        return messages

    def gathered_rows(self, message: np.ndarray) -> np.ndarray:
        """See `Communicator`."""
        return message[np.newaxis]

    def from_first(self, make: Callable[[], _Made]) -> _Made:
        """See `Communicator`."""
        return make()

    def gathered(self, value: Any) -> list[Any]:
        """See `Communicator`."""
        return [value]

    def finish(self) -> None:
        """See `Communicator`."""


ALONE = Alone()


def any_of(communicator: Communicator, flag: bool) -> bool:
    """Whether a flag is set on any rank."""
    if communicator.size == 1:
        return flag
    flags = np.array([flag], np.float32)
    communicator.all_reduce(flags)
    return bool(flags[0])
