"""SIGINT and SIGTERM at any moment: one sentence, nothing temporary left, and exit codes 130 and 143.

The command line listens before it imports anything that takes time, so this imports nothing of the kind.
A process is ended where it stands, without unwinding: an exception might be caught on its way, by a library
that is just being imported. Python runs handlers between its own instructions only; while one of them is
native code that takes long, a thread acts in its place.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE = 1.0  # seconds that the thread leaves to the handler

# What removes temporary files, in the order in which it was added.
at_end: list[Callable[[], None]] = []


def _files_are_whole() -> str:
    return "interrupted; files are whole, as they were before or as they were to become"


_sentence: Callable[[], str] = _files_are_whole
_stop: Callable[[], None] | None = None
_stopped_by: int | None = None
_heard = 0.0  # when the handler last ran
_thread_acted = False
_ending: int | None = None  # the thread that ends the process


def listen() -> None:
    """From here on both signals end the process, but where the caller's shell has it ignore one."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)
    if os.name == "posix":
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        threading.Thread(target=_watch, args=(reading,), daemon=True).start()


def leave_to_others(*, ignore: bool) -> None:
    """For a process of several, of which another says what a signal does; the launcher sends it to all.

    Args:
        ignore: whether the other goes on for a while, and needs this one; else it ends without a word.
    """
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN if ignore else signal.SIG_DFL)


def done() -> None:
    """What was to be done is done: signals no longer matter."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def during(sentence: Callable[[], str], stop: Callable[[], None] | None = None) -> Iterator[None]:
    """What a signal does within the block.

    Args:
        sentence: gives what is said at the end, without a full stop.
        stop: called at the first signal in place of an end; the block is to end soon then. A second
            signal does not wait for that.
    """
    global _sentence, _stop
    before = _sentence, _stop
    _sentence, _stop = sentence, stop
    try:
        yield
    finally:
        _sentence, _stop = before


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Signals wait for the end of the block, in the main thread: where a handler raises, nothing is half done.

    For what is native code but for a moment, in which they would wait too.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    own: dict[int, Callable[[int, FrameType | None], object]] = {}
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        if callable(handler):
            own[number] = handler
    came: list[tuple[int, FrameType | None]] = []
    ends = False

    def wait(number: int, frame: FrameType | None) -> None:
        if ends:
            own[number](number, frame)
        else:
            came.append((number, frame))

    for held_back in own:
        signal.signal(held_back, wait)
    try:
        yield
    finally:
        ends = True
        for held_back, handler in own.items():
            signal.signal(held_back, handler)
        for signalled, frame in came:
            own[signalled](signalled, frame)


def exit_code() -> int | None:
    """That of the signal which stopped a block of `during`; None if none did."""
    return None if _stopped_by is None else 128 + _stopped_by


def _handle(number: int, frame: FrameType | None) -> None:
    global _heard, _thread_acted
    _heard = time.monotonic()
    if _thread_acted:
        _thread_acted = False
    else:
        _act(number)


def _watch(reading: int) -> None:
    global _thread_acted
    while True:
        for number in os.read(reading, 16):
            came = time.monotonic()
            time.sleep(_PATIENCE)
            if number in _SIGNALS and _heard < came - _PATIENCE:
                _thread_acted = True
                _act(number)


def _act(number: int) -> None:
    global _stopped_by
    if _stop is not None and _stopped_by is None:
        _stopped_by = number
        _stop()
    else:
        _end(number)


def _end(number: int) -> None:
    global _ending
    me = threading.get_ident()
    if _ending is not None:
        while _ending != me:
            time.sleep(1)
        return
    _ending = me
    for remove in at_end:
        with contextlib.suppress(Exception):
            remove()
    if me == threading.main_thread().ident:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
    with contextlib.suppress(OSError):
        if os.isatty(1):
            os.write(1, b"\x1b[?25h\n")  # the cursor, which a progress bar hides
        os.write(2, f"svgd-onnx: {_sentence()}.\n".encode())
    os._exit(128 + number)
