"""Points of a log or of event files, and the record by which a checkpoint knows those that were written before.

A record is a text: for each run that wrote, the step of its first point, how many there are, a hash of that,
and one of all. Runs that went on in the same log are one. So each of several logs has its part of a training.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

NOTHING = ""
"""The record where nothing was written."""
_DIGITS = 16
_HASH = rf"[0-9a-f]{{{_DIGITS}}}"
_FORM = re.compile(rf"[0-9]{{1,19}}:[1-9][0-9]{{0,18}}:{_HASH}:{_HASH}")


class Point(NamedTuple):
    """What was written of a step.

    Attributes:
        step: its number.
        text: what.
    """

    step: int
    text: str


class _Run(NamedTuple):
    first: int
    size: int
    head: str
    digest: str

    def __str__(self) -> str:
        return ":".join(map(str, self))

    def with_point(self, point: Point) -> _Run:
        first = self.first if self.size else point.step
        digest = hashlib.sha256(f"{self.digest} {point.text}".encode()).hexdigest()[:_DIGITS]
        return _Run(first, self.size + 1, self.head or digest, digest)


_EMPTY = _Run(0, 0, "", "")


class Recorder:
    """Makes the record of what goes on behind some points.

    Args:
        record: so far.
        points: that are there already. If the last run of the record ends with them it goes on.
        are_known: whether the record tells of them; else they are a run of it from now on.
    """

    def __init__(self, record: str, points: Sequence[Point], are_known: bool) -> None:
        runs = _runs(record)
        self._run = _EMPTY if are_known else _run_of(points)
        if are_known and runs and _ends_with(points, runs[-1]):
            self._run = runs.pop()
        self._before = runs

    @property
    def record(self) -> str:
        """So far."""
        return " ".join(map(str, [*self._before, *([self._run] if self._run.size else [])]))

    def add(self, point: Point) -> None:
        """One more."""
        self._run = self._run.with_point(point)


def is_record(text: str) -> bool:
    """Whether a text is a record."""
    try:
        return bool(_runs(text)) or text == NOTHING
    except ValueError:
        return False


def places(record: str, points: Sequence[Point]) -> list[range]:
    """Where among points those of each run of a record are, one after the other; of runs that are there."""
    found: list[range] = []
    for run in _runs(record):
        begin = found[-1].stop if found else 0
        for at in range(begin, len(points) - run.size + 1):
            if points[at].step == run.first:
                place = range(at, at + run.size)
                if _run_of(points[place.start : place.stop]) == run:
                    found.append(place)
                    break
    return found


def begins_a_run(record: str, points: Sequence[Point], found: Sequence[range]) -> bool:
    """Whether behind what was found there begins another run of a record, which then is cut, or was changed."""
    behind = points[found[-1].stop if found else 0 :]
    return bool(behind) and _run_of(behind[:1]).digest in {run.head for run in _runs(record)}


def _ends_with(points: Sequence[Point], run: _Run) -> bool:
    return run.size <= len(points) and _run_of(points[len(points) - run.size :]) == run


def _run_of(points: Sequence[Point]) -> _Run:
    return reduce(_Run.with_point, points, _EMPTY)


def _runs(record: str) -> list[_Run]:
    """Raises ValueError where a text is no record."""
    runs = []
    for text in record.split():
        if not _FORM.fullmatch(text):
            raise ValueError(text)
        first, size, head, digest = text.split(":")
        runs.append(_Run(int(first), int(size), head, digest))
    return runs
