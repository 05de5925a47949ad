"""Writing so that a crash loses nothing: all of a file or folder appears at once, or none of it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from svgd_onnx.errors import UserError, option
from svgd_onnx.files.destination import check_destination, followed, own_place
from svgd_onnx.files.exchange import exchange
from svgd_onnx.files.folder_lock import FolderLock
from svgd_onnx.files.workplace import REPLACED, explained, recover, workplace


@contextlib.contextmanager
def whole_file(path: Path, *, of_ours: bool = False, like: Path | None = None) -> Iterator[Path]:
    """A temporary path of the same name, moved onto `path` when the block ends without an error.

    If the block makes a second file, of the same name and `.data` after it, that is moved first: it
    holds tensors at places that the first knows, and those do not change from one to the next. What is
    replaced keeps its permissions.

    Args:
        path: where the file is to appear.
        of_ours: whether no user named it: a symbolic link there is replaced, and else the file behind it.
        like: a file whose permissions it takes.

    Raises:
        UserError: there is something that is no file, the folder cannot be written, or the disk is full.
    """
    final = own_place(path) if of_ours else check_destination(path)
    with explained(path), workplace(final) as folder:
        temporary = folder / final.name
        yield temporary
        written = [(temporary, final)]
        data = folder / f"{final.name}.data"
        if data in folder.iterdir():  # a name that is too long to be asked for is not there
            written.insert(0, (data, check_destination(final.with_name(data.name))))
        permissions = _new_permissions(folder)
        for file, place in written:
            _flush(file)
            _give(file, _permissions(like or place, permissions & 0o666))
        for file, place in written:
            file.replace(place)
        _flush_folder(final.parent)


@contextlib.contextmanager
def whole_folder(
    path: Path, *, force: bool, foreign: Callable[[Path], str | None]
) -> Iterator[Path]:
    """A temporary folder of the same name, moved onto `path` when the block ends without an error.

    A folder that is replaced keeps its permissions.

    Args:
        path: where the folder is to appear; symbolic links are followed.
        force: whether a folder that is there already, and not empty, may be replaced. Nobody else writes
            into it meanwhile.
        foreign: why a folder may not be replaced, as it is no folder of this kind or holds other things;
            None if it may.

    Raises:
        UserError: something else is there, another process writes there, its parent cannot be written, or
            the disk is full.
    """
    final = followed(path)
    recover(final)
    with explained(path):
        if path.exists() and not path.is_dir():
            kind = "a file" if path.is_file() else "no folder"
            raise UserError(f"'{path}' is {kind}: give the name of a folder.")
        replaced = final.is_dir() and any(final.iterdir())
        if replaced:
            _check_replaceable(final, force, foreign)
        final.parent.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(final, "converting into it") if replaced else contextlib.nullcontext()
    with lock, explained(path), workplace(final) as folder:
        temporary = folder / final.name
        temporary.mkdir()
        yield temporary
        _give(temporary, _permissions(final, _new_permissions(folder)))
        for file in temporary.rglob("*"):
            if file.is_file():
                _flush(file)
        _flush_folder(temporary)
        if replaced:
            _check_replaceable(final, force, foreign)  # what came meanwhile is not lost either
            _replace(temporary, final, folder / REPLACED)
        else:
            _put(temporary, final)
        _flush_folder(final.parent)


def name_again(file: Path, path: Path) -> None:
    """Gives a file a second name: it stays by that when another takes its place, and nothing is written twice.

    Raises:
        OSError: it cannot be given.
    """
    try:
        os.link(file, path)
    except OSError:  # not every file system gives a file two names
        shutil.copyfile(file, path)


def _check_replaceable(path: Path, force: bool, foreign: Callable[[Path], str | None]) -> None:
    if not force:
        raise UserError(
            f"The folder '{path}' exists and is not empty: choose another, or replace it with "
            f"{option('force')}."
        )
    why = foreign(path)
    if why is not None:
        raise UserError(f"{why}, so {option('force')} does not replace it: choose another folder.")


def _put(folder: Path, path: Path) -> None:
    try:
        folder.rename(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise UserError(
            f"The folder '{path}' was filled by something else meanwhile: nothing was changed."
        ) from error


def _replace(folder: Path, path: Path, aside: Path) -> None:
    """Puts a folder in another's place. Where a system cannot do that at once, `recover` does the rest."""
    if exchange(folder, path):
        return
    path.rename(aside)
    try:
        folder.rename(path)
    except OSError:
        aside.rename(path)
        raise


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(path: Path) -> None:
    """Sees to it that names are on the disk as well, where a system can flush folders."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # it may be written to and not be read
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def _permissions(path: Path, otherwise: int) -> int:
    """Those of a file or folder that is to be replaced; others where there is none."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return otherwise
    return otherwise if stat.S_ISLNK(mode) else stat.S_IMODE(mode)


def _give(path: Path, permissions: int) -> None:
    if stat.S_IMODE(path.stat().st_mode) != permissions:  # it may be a name of another user's file
        path.chmod(permissions)


def _new_permissions(workplace: Path) -> int:
    """Those of a folder that the user makes.

    They follow from the mask of the process, which nobody can read without writing it: of two threads the
    second would read, and put back, what the first wrote.
    """
    folder = workplace / "svgd-permissions"
    folder.mkdir()
    mode = stat.S_IMODE(folder.stat().st_mode)
    folder.rmdir()
    return mode
