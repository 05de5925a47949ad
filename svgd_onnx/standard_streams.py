"""Standard output that is closed, full, or read no further."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

# Not of typing, as this is imported before signals are listened to.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

BROKEN_PIPE = 141
"""The exit code of a program that SIGPIPE ended: whoever read its output has gone."""


def open_closed_ones() -> None:
    """Opens what a caller closed (`>&-`, some daemons), to nowhere.

    Else the next file to be opened would be standard output, and whatever prints would write into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def guard() -> None:
    """Lets nothing but what it says in `Guarded` come of output that cannot be written; once a process."""
    if sys.stdout is sys.__stdout__ and sys.stdout is not None:
        sys.stdout = Guarded(sys.stdout)


class Guarded:
    """A stream that says what is wrong with it.

    Raises:
        SystemExit: with `BROKEN_PIPE`, where nobody reads any further.
        UnwritableError: it is full, or closed.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with self._said():
            return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        with self._said():
            self._stream.writelines(lines)

    def flush(self) -> None:
        with self._said():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # what is held back would be tried again when the process ends
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            if error.errno == errno.EPIPE:
                raise SystemExit(BROKEN_PIPE) from error
            raise UnwritableError(error.strerror) from error


class UnwritableError(Exception):
    """Standard output cannot be written; why."""
