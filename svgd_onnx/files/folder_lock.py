"""One writer a folder: whoever writes into it holds a lock, and who comes second is told who that is."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from svgd_onnx.errors import UserError
from svgd_onnx.files.reading import require_file
from svgd_onnx.files.workplace import explained

if TYPE_CHECKING:
    from filelock import FileLock

LOCK_NAME = ".svgd-lock"
HOLDER_NAME = ".svgd-holder.json"

# A process, and the folder that it holds: a process that forks keeps what it holds, and its child has nothing.
_Identity = tuple[int, int, int]
# What is held: the lock, and how many hold it. They share it, so that a second trainer in a notebook is not in
# the way of the first.
_held: dict[_Identity, tuple[FileLock, int]] = {}
_guard = threading.RLock()


class FolderLock:
    """Holds a folder against other processes, from `take` until `release`, or within a `with` block.

    Args:
        folder: the folder, which is there.
        doing: what is being done to it, for whoever comes second: "training".
    """

    def __init__(self, folder: Path, doing: str) -> None:
        self._folder = folder
        self._doing = doing
        self._identity: _Identity | None = None

    @property
    def is_held(self) -> bool:
        """Whether this process took it, and did not release it since."""
        return self._identity is not None and self._identity[0] == os.getpid()

    def take(self) -> None:
        """Holds the folder; does nothing where this is done already.

        Raises:
            UserError: another process does, or the folder cannot be written.
        """
        with _guard:
            while not self.is_held:
                identity = self._found()
                if identity not in _held:
                    lock = self._acquired()
                    if self._found() != identity:  # replaced while it was being locked
                        lock.release()
                        continue
                    self._sign()
                    _held[identity] = (lock, 0)
                lock, count = _held[identity]
                _held[identity] = (lock, count + 1)
                self._identity = identity

    def release(self) -> None:
        """Lets go of the folder, if it is held."""
        with _guard:
            # before anything else: Ctrl-C may come at any moment, and this may be asked for again then
            is_held, identity, self._identity = self.is_held, self._identity, None
            if not is_held or identity is None:
                return
            lock, count = _held.pop(identity)
            if count > 1:
                _held[identity] = (lock, count - 1)
                return
            try:
                # a folder that is gone has no note, and its lock goes all the same
                with contextlib.suppress(OSError, UserError):
                    if self._found() == identity:
                        (self._folder / HOLDER_NAME).unlink()
            finally:
                lock.release()

    def __enter__(self) -> None:
        self.take()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    @staticmethod
    def forget() -> None:
        """Removes what says that this process, which is about to end, holds folders."""
        for identity, (lock, _) in list(_held.items()):
            if identity[0] != os.getpid():
                continue
            with contextlib.suppress(OSError):
                Path(lock.lock_file).with_name(HOLDER_NAME).unlink()

    def _found(self) -> _Identity:
        with explained(self._folder):
            status = self._folder.stat()
        return os.getpid(), status.st_dev, status.st_ino

    def _acquired(self) -> FileLock:
        from filelock import FileLock, Timeout  # which `import svgd_onnx` has no use for

        path = self._folder / LOCK_NAME
        lock = FileLock(path, timeout=0, thread_local=False)
        with explained(self._folder):
            if path.is_symlink():  # the file that it leads to would be emptied
                path.unlink()
            try:
                lock.acquire()
            except Timeout:
                raise UserError(
                    f"The folder '{self._folder}' is in use by {_holder(self._folder)}: wait until that "
                    "ends."
                ) from None
        return lock

    def _sign(self) -> None:
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        note = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": since,
            "doing": self._doing,
        }
        path = self._folder / HOLDER_NAME
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)  # it may be a link to a file of others, or a pipe
            with path.open("x") as file:
                json.dump(note, file)


def _holder(folder: Path) -> str:
    try:
        note = json.loads(require_file(folder / HOLDER_NAME).read_text())
        pid, host, since = int(note["pid"]), str(note["host"]), str(note["since"])
        return f"process {pid} on {host}, {note['doing']} since {since}"
    except (OSError, ValueError, KeyError, TypeError, UserError):  # it is only just writing it
        return "another process"
