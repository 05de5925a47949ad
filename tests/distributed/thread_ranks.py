"""Ranks as threads of one process, for tests without MPI."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

_Result = TypeVar("_Result")
_PATIENCE = 30.0


class _Job:
    def __init__(self, size: int) -> None:
        self.slots: list[Any] = [None] * size
        self.barrier = threading.Barrier(size, timeout=_PATIENCE)


class ThreadRank:
    """A `Communicator` whose ranks are threads; sums are in the order of ranks."""

    def __init__(self, job: _Job, rank: int) -> None:
        self._job, self.rank, self.size = job, rank, len(job.slots)
        self.neighbours = self.size

    def gathered(self, value: Any) -> list[Any]:
        self._job.slots[self.rank] = value
        self._job.barrier.wait()
        values = list(self._job.slots)
        self._job.barrier.wait()
        return values

    def all_reduce(self, numbers: np.ndarray) -> None:
        numbers[...] = np.sum(self.gathered(numbers.copy()), axis=0, dtype=numbers.dtype)

    def exchanged(self, messages: np.ndarray) -> np.ndarray:
        return np.stack([each[self.rank] for each in self.gathered(messages)])

    def gathered_rows(self, message: np.ndarray) -> np.ndarray:
        return np.stack(self.gathered(message))

    def from_first(self, make: Callable[[], _Result]) -> _Result:
        result: _Result = self.gathered(make() if self.rank == 0 else None)[0]
        return result

    def finish(self) -> None:
        pass


def on_ranks(size: int, function: Callable[[ThreadRank], _Result]) -> list[_Result]:
    """What a function gives on each of so many ranks; what one raises is raised."""
    out = sys.stdout  # sessions turn it aside while they are opened, which threads do at once
    job = _Job(size)
    results: list[Any] = [None] * size
    errors: list[Exception] = []

    def run(rank: int) -> None:
        try:
            results[rank] = function(ThreadRank(job, rank))
        except Exception as error:
            errors.append(error)
            job.barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout = out
    others = [each for each in errors if not isinstance(each, threading.BrokenBarrierError)]
    if errors:
        raise (others or errors)[0]
    return results
