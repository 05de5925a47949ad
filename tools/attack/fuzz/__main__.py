"""Tries damaged files, and prints what came of them.

    .venv/bin/python -m tools.attack.fuzz [--count 20000] [--first 0] [--processes 1] [--show] [KIND...]

Kinds: models (convert, train, export, on both targets), npz, sources (images, tables and other data),
safetensors, checkpoints (of ort-training), svgd_json, logs, schedules, adapters, configs (run.toml), events
(TensorBoard's). A seed is a case: `--first 1234 --count 1 --show` repeats one, with what was said. Each
ends in a result, or in one sentence; what else there is, a traceback, a process that dies or that is still
busy after 20 seconds, is counted and named with its seed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator

from tools.attack.fuzz.kinds import KINDS
from tools.attack.fuzz.workers import (
    CRASH,
    HANG,
    REFUSED,
    TRACEBACK,
    WORKED,
    Case,
    Outcome,
    outcomes,
)

_FAULTS = (CRASH, HANG, TRACEBACK)
_EXAMPLES = 20
_EACH = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], default=[])
    parser.add_argument("--count", type=int, default=20_000, help="of each kind")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--show", action="store_true", help="print each outcome")
    given = parser.parse_args()
    faults = 0
    for kind in given.kinds or KINDS:
        cases = (Case(kind, seed) for seed in range(given.first, given.first + given.count))
        faults += _tally(kind, outcomes(cases, given.processes), show=given.show)
    sys.exit(1 if faults else 0)


def _tally(kind: str, found: Iterator[tuple[Case, Outcome]], *, show: bool) -> int:
    """Prints how many cases ended how; how many were faults."""
    counts: Counter[str] = Counter()
    examples: dict[str, list[int]] = {}
    for case, outcome in found:
        counts[outcome.kind] += 1
        if show:
            print(f"{kind} {case.seed}: {outcome.kind}: {outcome.said}", flush=True)
        if outcome.kind in _FAULTS:
            what = outcome.said.partition(": ")[0]  # not the numbers of this case
            seeds = examples.setdefault(f"{outcome.kind}: {what}", [])
            seeds.append(case.seed)
            if len(seeds) == 1:
                print(f"{kind} {case.seed}: {outcome.kind}: {outcome.said}", flush=True)
        if sum(counts.values()) % _EACH == 0:
            print(f"{kind}: {_line(counts)}", flush=True)
    print(f"{kind}: {_line(counts)}.", flush=True)
    for said, seeds in examples.items():
        print(f"  {len(seeds)} x {said}; seeds {seeds[:_EXAMPLES]}", flush=True)
    return sum(counts[each] for each in _FAULTS)


def _line(counts: Counter[str]) -> str:
    names = {
        WORKED: "worked",
        REFUSED: "refused in a sentence",
        CRASH: "crashes",
        HANG: "hangs over 20 s",
        TRACEBACK: "tracebacks",
    }
    parts = ", ".join(f"{counts[each]} {name}" for each, name in names.items())
    return f"{sum(counts.values())} tried, {parts}"


if __name__ == "__main__":
    main()
