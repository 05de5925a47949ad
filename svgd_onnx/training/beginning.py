"""Where a run of steps begins, and which points of a log, or of event files, are of the training that goes on.

A checkpoint has the record of what was written up to it, so a point of a run that ended before it saved is told
from one of the same step that is the checkpoint's own. What a run replaces lies beside until it saves.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from svgd_onnx.errors import UserError
from svgd_onnx.files import explained, name_again, whole_file
from svgd_onnx.training.points import NOTHING, Point, places

BEFORE = ".svgd-before"
"""Is in the names of files that were set aside."""
_LONGEST = 255  # bytes of a file's name
_DIGITS = 8


@dataclass(frozen=True)
class Records:
    """What was written up to a checkpoint; None where that is not known, as in one of an older version.

    Attributes:
        last: up to where the run begins.
        own: up to the folder's own checkpoint, which may be another.
    """

    last: str | None = None
    own: str | None = None


class Written(Protocol):
    """A log, or event files, that a run writes."""

    @property
    def record(self) -> str | None:
        """Of what was written so far."""
        ...

    def saved(self) -> None:
        """Says that there is a checkpoint of it, so that what lay beside goes."""
        ...


class Buffered(Written, Protocol):
    """Event files, which are not on the disk at once."""

    def flush(self) -> None:
        """Puts what was written there."""
        ...


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
        here: Sequence[Point],
        aside: Sequence[Point],
        forget: Callable[[], None],
        restore: Callable[[], None],
    ) -> None:
        """Settles what was set aside before; nothing is done where steps of this run go on in what is there.

        Args:
            records: of the log, or of event files.
            here: points that are there.
            aside: points of what was set aside.
            forget: removes what was set aside, if the run that did has saved.
            restore: puts it back, if it has not.
        """
        last, own = records.last or NOTHING, records.own or NOTHING
        found = places(last, here)
        if self.is_unsaved and found and len(found) >= len(places(last, aside)):
            return
        found = places(own, here)
        if found and len(found) >= len(places(own, aside)):
            forget()
        else:
            restore()


def aside_of(file: Path) -> Path:
    """By which name a file is set aside, beside it."""
    name = f"{file.name}{BEFORE}"
    if len(os.fsencode(name)) > _LONGEST:
        digest = hashlib.sha256(os.fsencode(file.name)).hexdigest()[:_DIGITS]
        name = f".{digest}{BEFORE}"
    return file.with_name(name)


def set_aside(file: Path, aside: Path) -> None:
    """Gives a file that is about to be replaced a second name; what is not there is an empty file by that name.

    Raises:
        UserError: it cannot be given.
    """
    try:
        with whole_file(aside, of_ours=True, like=file) as temporary:
            if file.is_file():
                name_again(file, temporary)
            else:
                temporary.touch()
    except UserError as error:
        raise UserError(
            f"Nothing can be kept beside '{file}' while it is written: {error}"
        ) from error


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
