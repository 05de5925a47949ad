"""Two folders change places at once, where the system can do that."""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path
from typing import Any

from svgd_onnx.files.workplace import UNSUPPORTED

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # of Linux's renameat2


def exchange(one: Path, other: Path) -> bool:
    """Each of two paths, on one file system, comes to name what the other did; at no moment neither.

    Returns:
        Whether it was done; False where the system, or the file system, cannot.

    Raises:
        OSError: it can, but something is in the way.
    """
    call = _renameat2()
    if call is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    if call(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(other))


@functools.cache
def _renameat2() -> Any:
    try:
        return ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # another system, or an old C library
        return None
