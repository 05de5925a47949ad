"""A file that one process writes for as long as it lives, and nobody else meanwhile."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from svgd_onnx.files.workplace import UNSUPPORTED

if sys.platform != "win32":  # where a file that is open cannot be replaced anyway
    import fcntl

_PATIENCE = 2.0  # seconds, for others who just begin


def hold(file: Any) -> bool:
    """Holds an open file until `let_go`; whether nobody else does, as far as the system tells."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in UNSUPPORTED
    return True


def let_go(file: Any) -> None:
    """Ends `hold`, also where a child of this process has the file open still."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_UN)


@contextlib.contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Around what looks whether somebody holds a file of a folder, and then holds it: one does at a time."""
    descriptor = None
    if sys.platform != "win32":
        with contextlib.suppress(OSError):  # a folder that may not be read
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    if descriptor is None:
        yield
        return
    try:
        deadline = time.monotonic() + _PATIENCE
        while not hold(descriptor) and time.monotonic() < deadline:
            time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)
