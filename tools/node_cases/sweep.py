"""Every case in a process of its own, which may crash or hang."""

from __future__ import annotations

import gc
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from tools.node_cases.cases import NotApplicableError, operator_of, problem_of
from tools.node_cases.expected import check_reference, derivatives
from tools.node_cases.outcome import Kind, Outcome, outcomes

_SETTING_UP = "central differences"


@dataclass
class _Running:
    """A case under way, what has come of it, and which builder is at it since when."""

    index: int
    builders: Sequence[str]
    process: BaseProcess
    connection: Connection
    since: float = field(default_factory=time.monotonic)
    builder: str = _SETTING_UP
    found: list[Outcome] = field(default_factory=list)


def sweep(
    cases: Sequence[Any],
    builders: Sequence[str],
    processes: int,
    time_limit: float,
    first_output: bool = False,
) -> Iterator[tuple[int, list[Outcome]]]:
    """The outcomes of each case, with its index, as soon as they are known.

    Args:
        cases: of `collect`.
        builders: keys of `BUILDERS`.
        processes: how many run at once.
        time_limit: seconds that a builder may take for a case.
        first_output: whether the loss is of a case's first floating-point output alone.
    """
    context = multiprocessing.get_context("fork")
    gc.freeze()  # what the package made is not to be walked again in each process
    waiting = [(index, list(builders), []) for index in reversed(range(len(cases)))]
    running: list[_Running] = []

    def start(index: int, left: list[str], found: list[Outcome]) -> _Running:
        receive, send = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(cases[index], left, first_output, send))
        process.start()
        send.close()
        return _Running(index, left, process, receive, found=found)

    try:
        while waiting or running:
            while waiting and len(running) < processes:
                running.append(start(*waiting.pop()))
            ready = wait([each.connection for each in running], timeout=1)
            for each in list(running):
                ended = _listen(each) if each.connection in ready else None
                if ended is None and time.monotonic() - each.since > time_limit:
                    each.process.kill()
                    ended = f"nothing after {time_limit:g} s"
                if ended is None:
                    continue
                each.process.join()
                running.remove(each)
                if ended:
                    left = _bury(each, cases[each.index], ended or "")
                    if left:
                        waiting.append((each.index, left, each.found))
                        continue
                yield each.index, each.found
    finally:
        for each in running:
            each.process.kill()
            each.process.join()


def _listen(running: _Running) -> str | None:
    """Takes what a process says; "" once it is done, or how it died, None as long as it works."""
    try:
        message = running.connection.recv()
    except EOFError:
        running.process.join()
        return f"signal {-(running.process.exitcode or 0)}"
    if isinstance(message, str):
        running.builder, running.since = message, time.monotonic()
        return None
    if message is None:
        return ""
    running.found.extend(message)
    return None


def _bury(running: _Running, case: Any, how: str) -> list[str]:
    """Notes that a case's process died; the builders that are left."""
    if running.builder == _SETTING_UP:
        blamed, kind, left = running.builders, Kind.NOT_APPLICABLE, []
        how = f"no central differences: {how}"
    else:
        place = list(running.builders).index(running.builder)
        blamed, kind, left = [running.builder], Kind.CRASH, list(running.builders)[place + 1 :]
    running.found.extend(
        Outcome(case.name, operator_of(case), builder, "", kind, how) for builder in blamed
    )
    return left


def _work(case: Any, builders: Sequence[str], first_output: bool, connection: Connection) -> None:
    """In the process: says which builder comes next, then what came of it; None at the end."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    operator = operator_of(case)
    try:
        problem, arrays = problem_of(case, first_output)
        check_reference(problem, arrays, _is_coarse(case))
        problem, expected = derivatives(problem)
    except NotApplicableError as reason:
        connection.send(
            [
                Outcome(case.name, operator, builder, "", Kind.NOT_APPLICABLE, str(reason))
                for builder in builders
            ]
        )
    else:
        for builder in builders:
            connection.send(builder)
            connection.send(outcomes(operator, problem, expected, builder))
    connection.send(None)


def _is_coarse(case: Any) -> bool:
    """Whether a number of the case has 16 bits."""
    elements = {
        value.type.tensor_type.elem_type
        for value in (*case.model.graph.input, *case.model.graph.output)
    }
    return bool(elements & {10, 16})
