"""Arrays in mapped files: of those no more is to be in memory than is looked at."""

from __future__ import annotations

import mmap

import numpy as np


def is_mapped(array: np.ndarray) -> bool:
    """Whether an array lies in a mapped file."""
    base: object = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            return True
        base = base.base
    return False


def release(array: np.ndarray) -> None:
    """Lets go of the pages of a mapped file that were read: they are in the file still."""
    base: object = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and base.mode == "c":
            return  # pages that were written to are in no file
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
