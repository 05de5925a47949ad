"""What may be written over: a file that nothing of the same command reads, and nothing that is no file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from svgd_onnx.errors import UserError

_KINDS = {
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


# What says what the command does that runs: its --config, its lists of classes.
_noted: list[Path] = []


def note_read(path: Path) -> None:
    """From here on `check_destination` refuses a file that the command reads beside its data."""
    _noted.append(path)


def forget_read() -> None:
    """Another command begins."""
    _noted.clear()


def check_destination(path: Path, read: Iterable[Path] = ()) -> Path:
    """Refuses a path that no file may be written to.

    Args:
        path: where a file is to appear.
        read: what the same command reads, whether it is there or not.

    Returns:
        The path that symbolic links lead to: it is replaced, and the links stay.

    Raises:
        UserError: there is something that is no file, or it is one that is read, by whatever name.
    """
    final = _file(path)
    if is_one_of(path, [*read, *_noted]):
        raise UserError(f"'{path}' is a file that is read: give another name to write to.")
    return final


def _file(path: Path) -> Path:
    """The path that symbolic links lead to.

    Raises:
        UserError: there is something that is no file.
    """
    try:
        found = stat.S_IFMT(path.stat().st_mode)  # of /dev/stdout this is what stands behind it
    except FileNotFoundError:
        found = stat.S_IFREG
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' cannot be written ({_reason(error)}).") from error
    if found != stat.S_IFREG:
        kind = _KINDS.get(found, "no file")
        raise UserError(f"'{path}' is {kind}, which is not replaced: give the name of a file.")
    return followed(path)


def own_place(path: Path) -> Path:
    """As `check_destination`, of a file in a folder of ours: a symbolic link itself is replaced there.

    A folder may be anybody's, and what the link leads to is no part of it. Its run.toml may be read, too.

    Raises:
        UserError: there is something that is no file.
    """
    return followed(path.parent) / path.name if path.is_symlink() else _file(path)


def require_text(path: Path) -> None:
    """Refuses a path of which the system's bytes are no text: onnxruntime does not open one.

    Raises:
        UserError: it is none.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"The path '{path}' is no UTF-8, and onnxruntime opens no other: give it another name."
        ) from error


def followed(path: Path) -> Path:
    """The path that symbolic links lead to, though nothing may be there yet."""
    return Path(os.path.realpath(path))


def is_one_of(path: Path, others: Iterable[Path]) -> bool:
    """Whether a path is one of others, by its name, a relative one, a symbolic or a hard link."""
    final = followed(path)
    return any(final == followed(other) or _same_file(final, other) for other in others)


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
