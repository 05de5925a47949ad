"""Processes that try one case after another: one that dies, or does not come back, is replaced."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

import svgd_onnx

WORKED, REFUSED, CRASH, HANG, TRACEBACK = "worked", "refused", "crash", "hang", "traceback"
SECONDS = 20
# A model may well ask for more than there is: what else the machine does is not to suffer from it.
_BYTES = 4_000_000_000
# A machine may do other things too: so much of the clock for a second of the processor.
_PATIENCE = 10


@dataclass(frozen=True)
class Case:
    """One file, which follows from a seed."""

    kind: str
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What came of a case, and what was said."""

    kind: str
    said: str = ""


class _Worker:
    """A process that waits for cases."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self._process = context.Process(target=_work, args=(other,), daemon=True)
        self._process.start()
        other.close()
        self.case: Case | None = None

    def give(self, case: Case) -> None:
        self.case = case
        self.connection.send(case)

    def take(self) -> Outcome:
        """What came of the case."""
        try:
            outcome: Outcome = self.connection.recv()
        except EOFError:
            self._process.join()
            outcome = Outcome(CRASH, f"exit code {self._process.exitcode}")
        return outcome

    def processor_time(self) -> float:
        """Seconds that the process has worked in all."""
        with contextlib.suppress(OSError, ValueError):
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def end(self) -> None:
        self._process.kill()
        self._process.join()


def outcomes(cases: Iterable[Case], processes: int) -> Iterator[tuple[Case, Outcome]]:
    """What came of each case, in the order in which they end."""
    pending = iter(cases)
    workers: dict[Connection, _Worker] = {}
    started: dict[Connection, float] = {}
    for _, case in zip(range(processes), pending):
        _start(case, workers, started)
    while workers:
        ready = wait(list(workers), timeout=1)
        for connection in ready:
            assert isinstance(connection, Connection)
            worker = workers[connection]
            assert worker.case is not None
            case, outcome = worker.case, worker.take()
            yield case, outcome
            _go_on(worker, pending, workers, started, dead=outcome.kind == CRASH)
        for connection, worker in list(workers.items()):
            busy = worker.processor_time() - started[connection]
            if connection not in ready and busy > SECONDS and worker.case is not None:
                yield worker.case, Outcome(HANG)
                _go_on(worker, pending, workers, started, dead=True)


def _start(
    case: Case, workers: dict[Connection, _Worker], started: dict[Connection, float]
) -> None:
    worker = _Worker()
    workers[worker.connection] = worker
    # what it imports first is no part of a case
    started[worker.connection] = SECONDS
    worker.give(case)


def _go_on(
    worker: _Worker,
    pending: Iterator[Case],
    workers: dict[Connection, _Worker],
    started: dict[Connection, float],
    *,
    dead: bool,
) -> None:
    """The next case for a worker, or for another in its place."""
    case = next(pending, None)
    if dead or case is None:
        worker.end()
        del workers[worker.connection], started[worker.connection]
        if case is not None:
            _start(case, workers, started)
        return
    started[worker.connection] = worker.processor_time()
    worker.give(case)


def _work(connection: Connection) -> None:
    """Tries what comes, until nothing comes."""
    from tools.attack.fuzz.kinds import KINDS

    resource.setrlimit(resource.RLIMIT_DATA, (_BYTES, _BYTES))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # onnxruntime's own words
    sys.stdout = sys.stderr
    warnings.simplefilter("ignore")
    made = {}
    with contextlib.suppress(EOFError), tempfile.TemporaryDirectory() as folder:
        while True:
            case = connection.recv()
            if case.kind not in made:
                made[case.kind] = KINDS[case.kind](Path(folder))
            connection.send(_outcome(made[case.kind], case.seed))


def _outcome(attempt: object, seed: int) -> Outcome:
    assert callable(attempt)
    try:
        attempt(seed)
    except svgd_onnx.UserError as error:
        sentence = str(error)
        return Outcome(REFUSED, sentence) if sentence.strip() else Outcome(TRACEBACK, "no words")
    except MemoryError:  # of which the command line makes a sentence
        return Outcome(REFUSED, "there is not enough memory")
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [each for each in frames if "site-packages" not in each.filename]
        at = ours[-1]
        place = f"{Path(at.filename).parent.name}/{Path(at.filename).name}:{at.lineno} {at.name}"
        return Outcome(TRACEBACK, f"{type(error).__name__} at {place}: {str(error)[:120]!r}")
    return Outcome(WORKED)
