"""Models that ask for much, through `inspect`, `convert` and `check`: what comes of each, and what it takes.

    .venv/bin/python -m tools.attack.bombs [--commands inspect,convert,check] [--targets onnx] [NAME...]

Each run is a process of its own. It has to end in a result or in one sentence (exit code 2), in less than
20 seconds of its own processor time and 2 GB of memory. The tally counts the others.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import onnx

from tools.attack import command_line

TESTS = Path(__file__).parent.parent.parent / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "attacks")]

from bombs import BOMBS  # noqa: E402

SECONDS, BYTES = 20, 2_000_000_000
# Of processor time, which the kernel counts, and of the clock, for what waits.
_KILLED_AFTER, _GIVEN_UP_AFTER = 2 * SECONDS, 1200


@dataclass(frozen=True)
class Outcome:
    """What came of one command."""

    kind: str
    seconds: float
    nbytes: int
    said: str


def run(arguments: list[str]) -> Outcome:
    """Runs a command line in a process of its own, a copy of this one, and measures it."""
    with tempfile.TemporaryFile() as errors:
        child = os.fork()
        if not child:
            _become(arguments, errors.fileno())
        deadline = time.monotonic() + _GIVEN_UP_AFTER
        while True:
            ended, status, usage = os.wait4(child, os.WNOHANG)
            if ended:
                break
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                deadline += _GIVEN_UP_AFTER
            time.sleep(0.02)
        errors.seek(0)
        said = errors.read().decode(errors="replace")
    seconds, nbytes = usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024
    kind = _kind(os.waitstatus_to_exitcode(status), said, seconds, nbytes)
    return Outcome(kind, seconds, nbytes, said)


def _become(arguments: list[str], errors: int) -> NoReturn:
    """The command line, in a process that this one has just begun."""
    resource.setrlimit(resource.RLIMIT_DATA, (2 * BYTES, 2 * BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_KILLED_AFTER, _KILLED_AFTER))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(errors, 2)
    sys.argv = ["svgd-onnx", *arguments]
    code = command_line.exit_code()
    sys.stderr.flush()
    os._exit(code)


def _kind(code: int, said: str, seconds: float, nbytes: int) -> str:
    if code == -signal.SIGKILL or seconds > SECONDS:
        return "hang"
    if code < 0:
        return "crash"
    if "Traceback" in said or code not in (0, 1, 2):
        return "traceback"
    if nbytes > BYTES:
        return "memory"
    return "worked" if code in (0, 1) else "refused"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=[])
    parser.add_argument("--commands", default="inspect,convert,check")
    parser.add_argument("--targets", default="onnx")
    given = parser.parse_args()
    tally: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for name in given.names or BOMBS:
            make, size, _ = BOMBS[name]
            path = Path(folder) / "bomb.onnx"
            onnx.save(make(size), path)
            for command in given.commands.split(","):
                for target in given.targets.split(","):
                    arguments = [command, str(path), "--target", target]
                    if command == "convert":
                        arguments += ["--output", f"{folder}/artifacts", "--force"]
                    outcome = run(arguments)
                    tally[outcome.kind] += 1
                    last = (outcome.said.strip().splitlines() or [""])[-1][:300]
                    print(
                        f"{name:26} {command:8} {target:13} {outcome.kind:10} "
                        f"{outcome.seconds:6.1f} s {outcome.nbytes / 1e6:7.0f} MB  {last}",
                        flush=True,
                    )
    print(", ".join(f"{count} {kind}" for kind, count in tally.most_common()))
    sys.exit(1 if tally.keys() - {"worked", "refused"} else 0)


if __name__ == "__main__":
    main()
