"""onnxruntime's memory on the processor, which what a session computes lies in."""

from __future__ import annotations

import functools
import sys
import threading
import weakref
from typing import Any

import numpy as np

_AS_BY_DEFAULT = {
    "max_mem": 0,
    "arena_extend_strategy": -1,
    "initial_chunk_size_bytes": -1,
    "max_dead_bytes_per_chunk": -1,
}
_OPTION = "session.use_env_allocators"
_SHRINK = "memory.enable_memory_arena_shrinkage"
_IDENTITY = (
    b'\x08\x07:7\n\x10\n\x01x\x12\x01y"\x08Identity\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n'
    b"\x02\x08\x01b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)
"""A model: y = x, of one number; for a run, after which onnxruntime gives back what it was told to."""


class MemoryArena:
    """An arena that all sessions of this package in a process share.

    An arena keeps what it ever took. Each session has one of its own by default, so that an evaluation takes
    memory beside that which the steps before it took and do not need meanwhile. Sessions of others in the
    process have theirs as ever.

    Args:
        onnxruntime: the module.
    """

    def __init__(self, onnxruntime: Any) -> None:
        self._onnxruntime = onnxruntime
        self._lock = threading.RLock()  # a session may go while another one is given back
        self._session: Any = None
        self._is_there = _register(onnxruntime)

    def use(self, options: Any) -> None:
        """Has a session, whose options these are, take its memory of this arena."""
        if self._is_there:
            options.add_session_config_entry(_OPTION, "1")

    def give_back_after(self, owner: object) -> None:
        """Gives back what is free once an object is gone."""
        weakref.finalize(owner, self.shrink).atexit = False

    def shrink(self) -> None:
        """Gives blocks back in which nothing lies."""
        if not self._is_there:
            return
        with self._lock:
            if self._session is None:
                self._session = self._open()
            options = self._onnxruntime.RunOptions()
            options.add_run_config_entry(_SHRINK, "cpu:0")
            self._session.run(None, {"x": np.zeros(1, np.float32)}, options)
            _trim()

    def _open(self) -> Any:
        options = self._onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        self.use(options)
        return self._onnxruntime.InferenceSession(
            _IDENTITY, options, providers=["CPUExecutionProvider"]
        )


@functools.cache
def memory_arena(onnxruntime: Any) -> MemoryArena:
    """That of the process."""
    return MemoryArena(onnxruntime)


def _trim() -> None:
    """Has glibc give back what is free; once it was given a large block, it keeps those that come later."""
    if sys.platform != "linux":
        return
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
    if trim is not None:
        trim(0)


def _register(onnxruntime: Any) -> bool:
    """Whether the arena is there: not where the program has its own, or this onnxruntime has no such call."""
    try:
        settings = onnxruntime.OrtArenaCfg(_AS_BY_DEFAULT)
        place = onnxruntime.OrtMemoryInfo(
            "Cpu",
            onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR,
            0,
            onnxruntime.OrtMemType.DEFAULT,
        )
        onnxruntime.create_and_register_allocator(place, settings)
    except Exception:  # the binding has an exception class for each status
        return False
    return True
