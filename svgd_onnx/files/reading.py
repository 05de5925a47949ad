"""Reading of what is there: what the system has against it becomes a sentence, and is not taken for damage."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from svgd_onnx.errors import UserError


@contextlib.contextmanager
def explained_reading(path: Path) -> Iterator[None]:
    """Around what reads a file.

    Raises:
        UserError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"'{path}' cannot be read ({error.strerror or error}).") from error


def is_there(path: Path) -> bool:
    """Whether there is a file.

    Raises:
        UserError: it may not be read, or its folder may not be looked into.
    """
    with explained_reading(path):
        if not path.is_file():
            return False
        path.open("rb").close()
    return True


def require_file(path: Path) -> Path:
    """Refuses to read what is no file, before it is opened: a pipe is waited for, and a device may have no end.

    Returns:
        The path, at which there may be nothing.

    Raises:
        UserError: there is something else.
    """
    with explained_reading(path):
        is_something_else = path.exists() and not path.is_file()
    if is_something_else:
        raise UserError(f"'{path}' cannot be read: it is no file.")
    return path


def require_there(path: Path) -> None:
    """Refuses a path at which there is no file that can be read.

    Raises:
        UserError: there is none, something else, or it may not be read.
    """
    if not is_there(require_file(path)):
        raise UserError(f"There is no file '{path}'.")
