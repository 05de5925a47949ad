"""A file that a process writes for as long as it lives, which no other writes meanwhile."""

from __future__ import annotations

import sys
from typing import Any

from svgd_onnx.files.workplace import UNSUPPORTED

if sys.platform != "win32":  # where a file that is open cannot be replaced anyway
    import fcntl


def hold(file: Any) -> bool:
    """Holds an open file until it is closed; whether nobody else does, as far as the system tells."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in UNSUPPORTED
    return True
