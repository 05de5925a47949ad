"""Where a run of steps begins, and which points of a log, or of event files, are of the training that goes on.

A checkpoint has the record of what was written up to it, so a point of a run that ended before it saved is told
from one of the same step that is the checkpoint's own. What a run replaces lies beside until it saves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from pathlib import Path

from svgd_onnx.files import explained, name_again, whole_file

BEFORE = ".svgd-before"
"""Is in the names of files that were set aside."""
NOTHING = ""
"""The record where nothing was written."""


@dataclass(frozen=True)
class Records:
    """What was written up to a checkpoint; None where that is not known, as in one of an older version.

    Attributes:
        last: up to where the run begins.
        own: up to the folder's own checkpoint, which may be another.
    """

    last: str | None = None
    own: str | None = None


@dataclass(frozen=True)
class Beginning:
    """Of a run.

    Attributes:
        step: it goes on after.
        replaces: whether the folder's own checkpoint is another than the one that was opened for it, and goes
            with the first that is saved.
        is_unsaved: whether steps before it are in memory alone.
        rows: of the log.
        events: of event files.
    """

    step: int = 0
    replaces: bool = False
    is_unsaved: bool = False
    rows: Records = Records()  # noqa: RUF009: it is frozen
    events: Records = Records()  # noqa: RUF009: it is frozen

    @property
    def sets_aside(self) -> bool:
        """Whether what is there may be needed as it is, if the run ends before it saves."""
        return self.replaces or self.is_unsaved or not self.step

    def settle(
        self,
        records: Records,
        points: Sequence[str],
        forget: Callable[[], None],
        restore: Callable[[], None],
    ) -> None:
        """Settles what was set aside before; nothing is done where steps of this run go on in what is there.

        Args:
            records: of the log, or of event files.
            points: that are there.
            forget: removes what was set aside, if the run that did has saved.
            restore: puts it back, if it has not.
        """
        last, own = records.last, records.own
        if self.is_unsaved and last and count_up_to(last, points) is not None:
            return
        if own and count_up_to(own, points) is not None:
            forget()
        else:
            restore()


def record_with(record: str, point: str) -> str:
    """The record of what has one more point."""
    return hashlib.sha256(f"{record} {point}".encode()).hexdigest()[:16]


def record_of(points: Iterable[str]) -> str:
    """The record of some points."""
    return reduce(record_with, points, NOTHING)


def count_up_to(record: str, points: Iterable[str]) -> int | None:
    """How many of the first points a record is of; None if of none."""
    found = accumulate(points, record_with, initial=NOTHING)
    return next((count for count, each in enumerate(found) if each == record), None)


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
