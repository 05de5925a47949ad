"""How many threads a session of onnxruntime has."""

from __future__ import annotations

import os


def session_threads(threads: int | None = None) -> int:
    """The number for `SessionOptions.intra_op_num_threads`: 0 leaves the choice to onnxruntime.

    Its choice is a thread for each core of the machine, also where this process is bound to fewer (by
    taskset, a container's set of processors, a batch system): they would take turns on those, and spin.

    Args:
        threads: how many are wanted; None for one a core.
    """
    return threads or _bound_to() or 0


def _bound_to() -> int | None:
    """How many processors this process is bound to; None if it may run on all, or that is not known."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    bound = len(os.sched_getaffinity(0))
    return bound if bound < (os.cpu_count() or 1) else None
