"""Files that are read for a while, and have to stay as they were."""

from __future__ import annotations

import os
from collections.abc import Iterable

from svgd_onnx.errors import UserError

# Which file it is; and how large, and when it was written to.
_State = tuple[tuple[int, int], tuple[int, int]]


class UnchangedFiles:
    """Files as they were when this was made.

    Another file that comes to have the name of one is no matter: what is open, or mapped, is the one that was
    there.

    Args:
        paths: of the files.
    """

    def __init__(self, paths: Iterable[str | os.PathLike[str]] = ()) -> None:
        self._states: list[tuple[str | int, _State | None, str]] = []
        for path in paths:
            self._note(os.fspath(path), os.fspath(path))

    def _note(self, file: str | int, name: str) -> None:
        """Notes how a file is.

        Args:
            file: its path, or a descriptor of it.
            name: what to call it in a message.
        """
        self._states.append((file, _state(file), name))

    def check(self) -> None:
        """Looks whether all is as it was.

        Raises:
            UserError: a file is shorter, or was written to.
        """
        for file, before, name in self._states:
            now = _state(file)
            if before is not None and now is not None and now[0] == before[0] and now != before:
                raise changed(name, "cut short" if now[1][0] < before[1][0] else "written to")


def changed(name: str, how: str) -> UserError:
    """What is said of a file that is not as it was.

    Args:
        name: of the file; empty if it is not known.
        how: "cut short" or "written to".
    """
    called = f"The file '{name}'" if name else "A mapped file of the data"
    return UserError(
        f"{called} was {how} by another program while it was read: write it as it was, and start again; what "
        "was saved is whole."
    )


def _state(file: str | int) -> _State | None:
    """What a file is like; None where there is none."""
    try:
        status = os.stat(file)  # noqa: PTH116: a descriptor too
    except OSError:
        return None
    return (status.st_dev, status.st_ino), (status.st_size, status.st_mtime_ns)
