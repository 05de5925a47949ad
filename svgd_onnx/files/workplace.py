"""Temporary folders beside what is to appear: theirs alone while a process lives, cleared by the next after it.

A workplace is locked (`flock` of the folder) as long as its process lives, on whichever machine that shares
the file system, and whatever ended it. One that is not is nobody's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from svgd_onnx.errors import UserError

if sys.platform != "win32":  # what a killed process leaves there stays
    import fcntl

_SUFFIX = ".svgd-tmp"
_LONGEST = 100  # bytes of a name, so that the workplace's is none too long

# Within a workplace: the folder that a new one is replacing, where they cannot be exchanged at once.
REPLACED = "svgd-replaced"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PATIENCE = 2.0  # seconds, for another process that is just replacing a folder

# What says that a system, or a file system, cannot do what it was asked for.
UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)

# The workplaces of this process.
_open: set[Path] = set()


@contextlib.contextmanager
def workplace(path: Path) -> Iterator[Path]:
    """A new folder beside a path, gone when the block ends; those that dead processes left there go first.

    Raises:
        OSError: the folder around cannot be written.
    """
    clear(path.parent)
    folder, descriptor = _new(path)
    try:
        yield folder
    finally:
        _abandon(folder)
        _open.discard(folder)
        if descriptor is not None:
            os.close(descriptor)


def clear(parent: Path) -> None:
    """Removes the workplaces in a folder that dead processes left."""
    for left in _left(parent):
        _abandon(left)


def abandon() -> None:
    """Removes the workplaces of this process, which is about to end."""
    for folder in list(_open):
        _abandon(folder)


def _abandon(folder: Path) -> None:
    with contextlib.suppress(OSError):  # what cannot be settled stays, for the next to recover
        _settle(folder)


def recover(path: Path) -> None:
    """Puts a folder in its place that a process was killed over replacing; does nothing where it is there.

    Raises:
        UserError: it cannot be moved.
    """
    deadline = time.monotonic() + _PATIENCE
    with explained(path):
        while not path.exists():
            folders = _workplaces(path.parent)
            begun = [
                each
                for each in folders
                if (each / REPLACED).exists() and (each / path.name).exists()
            ]
            if not begun:
                return
            # a process that lives is through in a moment, but where none can be told to live, none may be
            for folder in begun if time.monotonic() > deadline else _left(path.parent):
                _settle(folder)
            time.sleep(0.02)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Around what writes: what the system has against it becomes a sentence.

    Raises:
        UserError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise UserError(
                f"There is no space left to write '{path}': nothing was changed; make room and try "
                "again."
            ) from error
        raise UserError(f"'{path}' cannot be written ({error.strerror or error}).") from error


def temporary_place() -> Path:
    """Where temporary files go that belong beside nothing.

    Raises:
        UserError: no such folder can be written.
    """
    try:
        return Path(tempfile.gettempdir())
    except OSError as error:
        raise UserError(
            "No folder for temporary files can be written: make room, or name one in the variable TMPDIR."
        ) from error


@contextlib.contextmanager
def temporary_room() -> Iterator[None]:
    """Around what reads something and writes it there: that it is full is no fault of what is read.

    Raises:
        UserError: in place of that OSError; others go through.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise UserError(
            f"There is no space left in '{temporary_place()}' for what is read: make room, or name another "
            "folder for temporary files in the variable TMPDIR."
        ) from error


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder there, gone when the block ends, or a signal the process.

    Raises:
        UserError: none can be made.
    """
    place = temporary_place()
    with contextlib.ExitStack() as until:
        with explained(place):
            folder = until.enter_context(workplace(place / "svgd-onnx"))
        yield folder


def _settle(folder: Path) -> None:
    """Ends what a workplace was for: a new folder that had begun to replace another does so, all else goes."""
    if (folder / REPLACED).exists():
        for made in folder.iterdir():
            place = folder.parent / made.name
            if made.name != REPLACED and not place.exists():
                made.rename(place)
    for _ in range(2):  # an error that was of a moment leaves nothing behind
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break


def _new(path: Path) -> tuple[Path, int | None]:
    while True:
        name = os.fsencode(path.name)[:_LONGEST].decode(errors="ignore")
        folder = path.parent / f".{name}.{os.urandom(4).hex()}{_SUFFIX}"
        _open.add(folder)  # before it is there: a signal may come at any moment
        try:
            folder.mkdir(mode=0o700)
        except OSError as error:
            _open.discard(folder)
            if isinstance(error, FileExistsError):
                continue
            raise
        descriptor = _locked(folder, wait=True)
        if folder.exists():
            return folder, descriptor
        _open.discard(folder)
        if descriptor is not None:  # it was taken for one that is left, before it was locked
            os.close(descriptor)


def _left(parent: Path) -> Iterator[Path]:
    """Workplaces in a folder whose process is gone, each while it is locked."""
    for folder in _workplaces(parent):
        descriptor = None if folder in _open else _locked(folder, wait=False)
        if descriptor is not None:
            try:
                yield folder
            finally:
                os.close(descriptor)


def _workplaces(parent: Path) -> list[Path]:
    try:
        names = os.listdir(parent)
    except OSError:  # it may be written to and not be read; or is not there
        return []
    return [parent / name for name in names if name.startswith(".") and name.endswith(_SUFFIX)]


def _locked(folder: Path, *, wait: bool) -> int | None:
    """A descriptor that locks a folder; None if another process does, or nothing can."""
    if sys.platform == "win32":
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
