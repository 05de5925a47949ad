"""A trainer's claim on its folder's checkpoint: nobody else writes it from a first step to the next save."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from svgd_onnx.errors import UserError
from svgd_onnx.files import FolderLock, require_room

_Identity = list[tuple[int, int, int, int]]


class CheckpointClaim:
    """Made before a checkpoint is read, and taken before what was read is trained.

    Trainers of one process share the folder; of two that were at the same checkpoint, the second to save is
    refused. So is one that read a checkpoint that another process has replaced since.

    Args:
        folder: of artifacts.
        names: the files of its checkpoint.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._folder = folder
        self._files = [folder / name for name in names]
        self._lock = FolderLock(folder, "training")
        self._whole_run = False
        self._read = self._identity()
        weakref.finalize(self, self._lock.release)

    def __enter__(self) -> None:
        """Holds the folder for a whole run, and sees that a checkpoint can be written at the end of it.

        Raises:
            UserError: another process writes there, the checkpoint is another one by now, the folder cannot
                be written, or the disk is full.
        """
        self.take()
        self._whole_run = True
        try:
            require_room(self._files[0], self.size())
        except UserError:
            self.__exit__(None, None, None)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._whole_run = False
        self._lock.release()

    def take(self) -> None:
        """Holds the folder, until `saving` or the end of a run.

        Raises:
            UserError: another process writes there, or the checkpoint is another one by now.
        """
        if self._lock.is_held:
            return
        self._lock.take()
        try:
            self._check_read()
        except UserError:
            self._lock.release()
            raise

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """Around what replaces the checkpoint.

        Raises:
            UserError: as `take`.
        """
        self.take()
        self._check_read()  # another trainer of this process may have been quicker
        try:
            yield
        finally:
            self._read = self._identity()
            if not self._whole_run:
                self._lock.release()

    @property
    def is_replaced(self) -> bool:
        """Whether the checkpoint is another than that which was read or saved last, as while it is saved."""
        return self._identity()[:1] != self._read[:1]

    def _check_read(self) -> None:
        if self._read and not self._identity():
            raise UserError(
                f"The checkpoint of '{self._folder}' is no longer there: put the folder back, or export what "
                "this trainer has trained."
            )
        if self._identity() != self._read:
            raise UserError(
                f"The checkpoint of '{self._folder}' was replaced since this trainer read it, and would be "
                "lost: open it anew to go on from there, or export what this one has trained."
            )

    def _identity(self) -> _Identity:
        found = []
        for path in self._files:
            with contextlib.suppress(OSError):
                status = os.stat(path)  # noqa: PTH116: one call, of a link's file
                found.append((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
        return found

    def size(self) -> int:
        """Bytes of the checkpoint that was read."""
        return sum(size for _, _, size, _ in self._read)
