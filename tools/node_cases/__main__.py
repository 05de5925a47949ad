"""The onnx package's node test cases, differentiated by every floating-point input.

    python -m tools.node_cases                                    all, some 1,900
    python -m tools.node_cases 'Reduce*' Softmax --show wrong     cases of these operators
    python -m tools.node_cases --case test_relu --show right      cases of this name, or glob
    python -m tools.node_cases --builders own --output cases.csv

The loss is the sum of all floating-point outputs times fixed random numbers. With --first-output it is of the
first alone: others may have no gradient, as LayerNormalization's mean, and hide how the first one does. The
gradient is compared with central differences of the case's own model in float64, by the onnx package's
reference evaluator. Builders:

    own           our rules of differentiation, lowered, in float64
    onnxruntime   its gradient builder behind our decompositions, in float32
    onnx-ad       the package of that name, in float64: pip install -r tools/requirements-node-cases.txt
    convert       the whole way: `convert` for the target onnx, and a step of training

A gradient is right, refused, wrong, or ends in a traceback or a crash; a case counts as the worst of its
inputs. Where the loss has a kink, the data are moved a little. Each case runs in a process of its own.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from rich.console import Console

from tools.node_cases import report
from tools.node_cases.builders import BUILDERS
from tools.node_cases.cases import collect, operator_of
from tools.node_cases.outcome import Kind, Outcome
from tools.node_cases.sweep import sweep


def main(words: Sequence[str] | None = None) -> int:
    arguments = _arguments(words)
    builders = arguments.builders or [
        name for name in BUILDERS if name != "onnx-ad" or importlib.util.find_spec("onnx_ad")
    ]
    cases = [case for case in collect() if _is_chosen(case, arguments)]
    started = time.monotonic()
    found: dict[int, list[Outcome]] = {}
    for index, outcomes in sweep(
        cases, builders, arguments.processes, arguments.time_limit, arguments.first_output
    ):
        found[index] = outcomes
        if len(found) % 100 == 0:
            spent = time.monotonic() - started
            print(f"{len(found)} of {len(cases)} cases, {spent:.0f} s", file=sys.stderr, flush=True)
    everything = [outcome for index in sorted(found) for outcome in found[index]]
    console = Console(width=None if sys.stdout.isatty() else 160)
    for outcome in everything:
        if outcome.kind.value in arguments.show:
            console.print(
                f"{outcome.builder} {outcome.case} {outcome.input}: {outcome.kind.value}: "
                f"{outcome.detail}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
    console.print(report.operator_table(everything, builders))
    console.print(report.reasons_table(everything, builders[0]))
    console.print(report.summary_table(everything, builders))
    if arguments.output:
        report.write(arguments.output, everything)
    return 0


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.node_cases", description=(__doc__ or "").splitlines()[0]
    )
    kinds = [kind.value for kind in Kind]
    parser.add_argument("operators", nargs="*", help="globs; all operators if none")
    parser.add_argument("--case", action="append", default=[], help="a glob; may be repeated")
    parser.add_argument("--builders", nargs="+", choices=list(BUILDERS))
    parser.add_argument(
        "--first-output", action="store_true", help="the loss is of a case's first output alone"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--time-limit", type=float, default=60, help="seconds of a builder and case"
    )
    parser.add_argument("--show", nargs="+", choices=kinds, default=[], help="what to list singly")
    parser.add_argument("--output", type=Path, help="all outcomes, as .csv or .json")
    return parser.parse_args(words)


def _is_chosen(case: Any, arguments: argparse.Namespace) -> bool:
    operator = operator_of(case).removesuffix(" (expanded)")
    if arguments.case and not any(fnmatchcase(case.name, glob) for glob in arguments.case):
        return False
    return not arguments.operators or any(
        fnmatchcase(operator, glob) for glob in arguments.operators
    )


if __name__ == "__main__":
    sys.exit(main())
