"""Whether this process is a rank of a job; and what a rank does otherwise than a process that is alone."""

from __future__ import annotations

import functools
import os
import sys
import time

from svgd_onnx.distributed.communicator import Communicator

# What launchers tell each rank, the number of ranks: Open MPI; MPICH, Intel MPI and their kin; MVAPICH.
_SIZE_VARIABLES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
# So long the first rank has to say what is wrong with all.
_PATIENCE = 2.0


def started_by_launcher() -> bool:
    """Whether an MPI launcher started this process and others, by its environment."""
    return any(os.environ.get(name, "1") != "1" for name in _SIZE_VARIABLES)


def has_terminal() -> bool:
    """Whether a person sits at this process's output: a launcher gives ranks a terminal, and hands on lines."""
    return sys.stdout.isatty() and not any(name in os.environ for name in _SIZE_VARIABLES)


def join(wanted: bool | None = None) -> Communicator | None:
    """The ranks of the job that this process is one of; None if it is none of any.

    Args:
        wanted: whether it is; None for what the environment says. MPI is looked for in no other case.

    Raises:
        UserError: it is one, and mpi4py is not installed or finds no MPI.
    """
    if not (started_by_launcher() if wanted is None else wanted):
        return None
    return _world()


@functools.cache
def _world() -> Communicator:
    from svgd_onnx.distributed.mpi import MpiCommunicator

    return MpiCommunicator()


def after_the_first() -> str:
    """Lets the first rank say first what is wrong, which ends the job if it is so on all.

    Returns:
        Which rank speaks, as the beginning of a sentence; empty for one that is alone, or the first.
    """
    if not _world.cache_info().currsize:
        return ""
    communicator = _world()
    if communicator.rank == 0:
        return ""
    time.sleep(_PATIENCE)
    return f"rank {communicator.rank}: "


def threads_of(communicator: Communicator) -> int:
    """Threads for a rank by default: its share of the machine's cores, or those that it is bound to."""
    cores = os.cpu_count() or 1
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    return max(1, min(bound, cores // communicator.neighbours))
