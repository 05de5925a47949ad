"""Room on a disk, looked for before hours are spent on what is to be written."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from svgd_onnx.files.workplace import UNSUPPORTED, explained, workplace


def require_room(path: Path, size: int, called: Path | None = None) -> None:
    """Sees to it that a file of a size can be written, beside what is there; nothing is left of it.

    Args:
        path: of a file, or of a folder; a file is made and reserved beside it, which tells of quotas too.
        size: bytes.
        called: what the user calls it, if that is another path.

    Raises:
        UserError: the folder around it cannot be written, or there is no room.
    """
    with explained(called or path), workplace(path) as folder:
        place = folder / "room"
        with place.open("wb") as file:
            if (
                size
                and not _reserved(file.fileno(), size)
                and shutil.disk_usage(folder).free < size
            ):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def has_room(folder: Path, size: int) -> bool:
    """Whether a folder's disk has so many bytes free, as far as the system says."""
    return shutil.disk_usage(folder).free >= size


def _reserved(descriptor: int, size: int) -> bool:
    """Reserves bytes for a file; False where the system cannot."""
    if not hasattr(os, "posix_fallocate"):
        return False
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno in UNSUPPORTED:
            return False
        raise
    return True
