"""Writing so that a crash loses nothing: all of a file or folder appears at once, or none of it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from svgd_onnx.errors import UserError, option

PathLike = str | os.PathLike[str]


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, moved onto it when the block ends without an error.

    If the block makes a second file, of the same name and `.data` after it, that is moved first: it
    holds tensors at places that the first knows, and those do not change from one to the next.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """
    with _explained(path):
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(descriptor)
    temporary = Path(name)
    data = temporary.with_name(f"{temporary.name}.data")
    try:
        with _explained(path):
            yield temporary
            written = [(temporary, path)]
            if data.is_file():
                written.insert(0, (data, path.with_name(f"{path.name}.data")))
            for file, _ in written:
                file.chmod(0o666 & ~_umask())
                _flush(file)
            for file, final in written:
                file.replace(final)
    finally:
        temporary.unlink(missing_ok=True)
        data.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: Path, *, force: bool) -> Iterator[Path]:
    """A temporary folder beside `path`, moved onto it when the block ends without an error.

    Args:
        path: where the folder is to appear.
        force: whether a folder that is there already, and not empty, may be replaced.

    Raises:
        UserError: something else is there, its parent cannot be written, or the disk is full.
    """
    if path.exists() and not path.is_dir():
        raise UserError(f"'{path}' is a file: give the name of a folder.")
    if path.is_dir() and any(path.iterdir()) and not force:
        raise UserError(
            f"The folder '{path}' exists and is not empty: choose another, or replace it with "
            f"{option('force')}."
        )
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        with _explained(path):
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            for file in temporary.iterdir():
                _flush(file)
            if path.is_dir():
                replaced = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
                path.rename(replaced / path.name)
                temporary.rename(path)
                shutil.rmtree(replaced)
            else:
                temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise UserError(
                f"There is no space left to write '{path}': nothing was changed; make room and try "
                "again."
            ) from error
        raise UserError(f"'{path}' cannot be written ({error.strerror}).") from error


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
