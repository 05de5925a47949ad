"""Arrays in mapped files: no more in memory than is looked at, and nothing read that a file lost meanwhile.

Whoever reads a mapped file beyond the end that another program gave it is ended by the system (SIGBUS), where
no exception is raised. So arrays that this package maps are read through their file, which says how much it
gave, and takes no longer; those that a user mapped are read where they lie, after a look at the file.
"""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np

from svgd_onnx.files.unchanged import UnchangedFiles, changed


class FileArray(np.memmap):  # type: ignore[misc, type-arg, unused-ignore]
    """A mapped array whose file stays open, to be read from.

    Attributes:
        file: which.
    """

    file: BinaryIO | None = None


def map_file(
    path: Path, dtype: np.dtype, shape: tuple[int, ...], *, offset: int = 0, order: str = "C"
) -> np.ndarray:
    """An array in a file, mapped to be read.

    Args:
        path: of the file.
        dtype: of the array.
        shape: of it.
        offset: where in the file it begins.
        order: "C" or "F".

    Raises:
        OSError, ValueError: it cannot be read, or is shorter.
    """
    file = path.open("rb")
    whole = FileArray(file, dtype, "r", offset, shape, order)  # type: ignore[call-overload, unused-ignore]
    whole.file = file
    weakref.finalize(whole, file.close)
    return np.asarray(whole)


class MappedFiles(UnchangedFiles):
    """The files that arrays are mapped from, as they were when this was made.

    Args:
        arrays: of which some may lie in mapped files.
    """

    def __init__(self, arrays: Iterable[np.ndarray] = ()) -> None:
        super().__init__()
        self._mappings: list[tuple[mmap.mmap, int, str]] = []
        for array in arrays:
            found = _mapping(array)
            if found is None:
                continue
            whole, mapping = found
            name = "" if whole.filename is None else os.fspath(whole.filename)
            self._mappings.append((mapping, whole.offset + whole.nbytes, name))
            if name and whole.mode in ("r", "c"):  # what the user may write to changes by that
                file = whole.file if isinstance(whole, FileArray) else None
                self._note(name if file is None else file.fileno(), name)

    def check(self) -> None:
        """See `UnchangedFiles`; of what is mapped, whatever the file is called by now."""
        for mapping, end, name in self._mappings:
            if mapping.size() < end:
                raise changed(name, "cut short")
        super().check()


def is_mapped(array: np.ndarray) -> bool:
    """Whether an array lies in a mapped file."""
    return _mapping(array) is not None


def release(array: np.ndarray) -> None:
    """Lets go of the pages of a mapped file that were read: they are in the file still.

    Pages that were written to are in no file where a mapping is private ("c"). Of one that is not NumPy's
    nobody knows whether it is.
    """
    found = _mapping(array)
    if found is not None and found[0].mode != "c" and hasattr(mmap, "MADV_DONTNEED"):
        found[1].madvise(mmap.MADV_DONTNEED)


def taken(array: np.ndarray, rows: np.ndarray | slice) -> np.ndarray:
    """Some entries of an array along its first axis; of one in a mapped file in memory, contiguous.

    Raises:
        UserError: the file was cut short.
    """
    found = _mapping(array)
    if found is None:
        return array[rows]
    file = found[0].file if isinstance(found[0], FileArray) else None
    if file is None or not hasattr(os, "preadv") or not _lies_in_rows(array):
        return np.array(array[rows], order="C", subok=False)
    numbers = np.arange(len(array))[rows]
    start = found[0].offset + array.ctypes.data - found[0].ctypes.data
    return _read(file, array, numbers, start)


def _lies_in_rows(array: np.ndarray) -> bool:
    return bool(array.size and array.ndim and array.strides[0] >= 0 and array[0].flags.c_contiguous)


def _read(file: BinaryIO, array: np.ndarray, rows: np.ndarray, start: int) -> np.ndarray:
    """Rows of an array that begins at a place of a file; those that follow each other at once."""
    pitch, length = array.strides[0], array[0].nbytes
    read = np.empty((len(rows), *array.shape[1:]), array.dtype)
    content = read.reshape(-1).view(np.uint8).data
    breaks = np.diff(rows) != 1 if pitch == length else np.ones(max(0, len(rows) - 1), bool)
    edges = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(rows)] if len(rows) else []
    for first, last in pairwise(edges):
        part, place = content[first * length : last * length], start + int(rows[first]) * pitch
        while part:
            count = os.preadv(file.fileno(), [part], place)
            if not count:
                raise changed(file.name, "cut short")
            part, place = part[count:], place + count
    return read


def _mapping(array: np.ndarray) -> tuple[np.memmap, mmap.mmap] | None:
    """The whole array that an array is a view of, and the mapping that it lies in; None where it does not."""
    base: object = array
    whole = None
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            whole = base
        base = base.base
    return (whole, base) if whole is not None and isinstance(base, mmap.mmap) else None
