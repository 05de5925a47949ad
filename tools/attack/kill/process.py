"""Command lines in forked processes: nothing is imported again, so that thousands can be tried."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tools.attack import command_line
from tools.attack.kill import shim

_TOO_LONG = 120.0


@dataclass(frozen=True)
class Outcome:
    """How a process ended.

    Attributes:
        code: its exit code; minus the signal that ended it.
        error: what it wrote to standard error.
        events: how many file-system events it came to.
        seconds: how long it took.
        modules: what it had imported, if it ended by itself.
    """

    code: int
    error: str
    events: int
    seconds: float
    modules: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Attack:
    """What happens to a process.

    Attributes:
        event: at which file-system event.
        action: of the shim.
        errno: with which error.
        after: killed after so many seconds instead.
    """

    event: int = -1
    action: int = shim.COUNT
    errno: int = 0
    after: float | None = None


def run(place: Path, arguments: list[object], attack: Attack | None = None) -> Outcome:
    """Runs a command line of svgd-onnx on files under a place."""
    attack = attack or Attack()
    words = ["svgd-onnx", *map(str, arguments)]
    report = place.parent / "report"
    report.unlink(missing_ok=True)
    began = time.monotonic()
    child = os.fork()
    if not child:
        _child(place, words, attack, report)
    if attack.after is not None:
        time.sleep(attack.after)
        os.kill(child, signal.SIGKILL)
    code = _wait(child)
    text = report.read_text() if report.exists() else "0\n\n"
    count, modules, error = text.split("\n", 2)
    return Outcome(code, error, int(count or 0), time.monotonic() - began, modules.split())


def _child(place: Path, words: list[str], attack: Attack, report: Path) -> None:
    errors = report.with_name("errors")
    descriptor = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.argv = words
    shim.arm(place, attack.event, attack.action, attack.errno)
    code = command_line.exit_code()
    count = shim.events()
    shim.arm(place, -1, shim.COUNT)
    sys.stderr.flush()
    written = report.with_name("report.new")  # it may be killed over this, too
    written.write_text(f"{count}\n{' '.join(sys.modules)}\n{errors.read_text()}")
    written.replace(report)
    os._exit(code)


def _wait(child: int) -> int:
    deadline = time.monotonic() + _TOO_LONG
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return 124
        time.sleep(0.002)
