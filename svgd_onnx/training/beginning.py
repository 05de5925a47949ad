"""Where a run of steps begins, and what of before it keeps until its first checkpoint is saved.

A run may go on from a kept checkpoint. Until it saves, the folder's own is that of the run before, and so are
its log and its events: if it ends too early, the next run goes on from that checkpoint, and needs them back.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from svgd_onnx.files import explained, name_again, whole_file

BEFORE = ".svgd-before-"
"""Is in the names of files that were set aside, with what tells the checkpoint that they belong to."""


@dataclass(frozen=True)
class Beginning:
    """Of a run.

    Attributes:
        step: it goes on after.
        opened: the step of the checkpoint that was opened for it; steps after that are in memory alone.
        checkpoint: what tells the folder's own checkpoint, as it is now, from any other.
        replaces: whether that is another than the one that was opened, and goes with the first that is saved.
    """

    step: int
    opened: int = 0
    checkpoint: str = ""
    replaces: bool = False

    @property
    def before(self) -> str:
        """Is in the names of files that this run sets aside."""
        return f"{BEFORE}{self.checkpoint}"

    @property
    def is_first(self) -> bool:
        """Whether what is there is of another run: this process has made no step that it did not save."""
        return not self.replaces or self.step == self.opened


def set_aside(file: Path, aside: Path) -> None:
    """Gives a file that is about to be replaced a second name; what is not there is an empty file by that name.

    Raises:
        UserError: it cannot be given.
    """
    with whole_file(aside, of_ours=True, like=file) as temporary:
        if file.is_file():
            name_again(file, temporary)
        else:
            temporary.touch()


def put_back(aside: Path, file: Path) -> None:
    """Undoes `set_aside`, where it was done.

    Raises:
        UserError: the file cannot be replaced.
    """
    with explained(file):
        if not aside.is_file():
            return
        if aside.stat().st_size:
            aside.replace(file)
        else:
            file.unlink(missing_ok=True)
        aside.unlink(missing_ok=True)  # of two names of one file neither replaces the other


def forget_before(folder: Path, is_one: Callable[[str], bool], but: str | None = None) -> None:
    """Removes files that were set aside.

    Args:
        folder: where they lie; where it cannot be read nothing is removed.
        is_one: says by a file's name whether it is one of them.
        but: what names have in them that stay.

    Raises:
        UserError: one cannot be removed.
    """
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        if BEFORE in name and is_one(name) and (but is None or but not in name):
            path = folder / name
            with explained(path):
                path.unlink(missing_ok=True)
