"""The command line that the three experiments share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import svgd_onnx
from svgd_onnx.device_arguments import parse_device_options
from svgd_onnx.targets.kernels import AUTO, KERNELS
from tools.paper import runner
from tools.paper.errors import told_in_a_sentence
from tools.paper.experiment import Data, Experiment
from tools.paper.result import Result
from tools.paper.runner import OPTIONS_OF_T, Run

RESULTS, WORK = Path("docs/paper/results"), Path("build/paper")
GOES_ON = "Interrupted: the same command goes on from the last test."


def main(experiment: Experiment) -> None:
    """Runs the command line of an experiment."""
    arguments = parser(experiment).parse_args()
    with told_in_a_sentence(GOES_ON):
        run_all(experiment, arguments)


def parser(experiment: Experiment) -> argparse.ArgumentParser:
    """Its options."""
    parser = argparse.ArgumentParser(
        prog=f"python -m tools.paper.{experiment.name}",
        description=f"The paper's {experiment.title}. The same command goes on with a run that was "
        "interrupted, from its last test.",
    )
    add_places(parser)
    parser.add_argument(
        "--optimizer",
        choices=experiment.recipes,
        default="svgd",
        help="(default svgd; adamw has no weight decay here: it is the paper's Adam)",
    )
    parser.add_argument("--seeds", type=at_least(1), default=1, help="how many runs (default 1)")
    parser.add_argument("--first-seed", type=at_least(0), default=0, help="(default 0)")
    parser.add_argument(
        "--steps",
        type=at_least(1),
        help=f"of each run (default {experiment.steps}); another number has its changes of the "
        "learning rate in proportion",
    )
    parser.add_argument(
        "--evaluate-every",
        type=at_least(1),
        help=f"steps between two tests (default {experiment.evaluate_every})",
    )
    parser.add_argument(
        "--l1", type=float, help=f"factor of the L1 penalty (default {experiment.l1:g})"
    )
    parser.add_argument("--scale", type=float, help="T's s, where it is not the paper's")
    parser.add_argument("--epsilon", type=float, help="T's epsilon (default 1e-6)")
    parser.add_argument("--t-scope", choices=("weights", "all-linear"))
    parser.add_argument("--granularity", choices=("element", "channel"))
    parser.add_argument("--gradient", choices=("graph", "example"), help="what feeds r")
    parser.add_argument("--target", choices=("ort-training", "onnx"))
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="for --target onnx (default cpu)"
    )
    parser.add_argument(
        "--device-option",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="of --device cuda, by its name in onnxruntime (enable_cuda_graph=1); may be repeated",
    )
    parser.add_argument(
        "--keep-state",
        action="store_true",
        help="write what the run goes on from beside its result too, as text, with each test; it is deleted "
        "at the end of the run",
    )
    parser.add_argument(
        "--make-only",
        action="store_true",
        help="make the artifacts in the working folder, to train them where nothing converts",
    )
    return parser


def add_places(parser: argparse.ArgumentParser) -> None:
    """The options that every command has."""
    parser.add_argument("--data", type=Path, help="the folder of the data set")
    parser.add_argument(
        "--output", type=Path, default=RESULTS, help=f"of the results (default {RESULTS})"
    )
    parser.add_argument(
        "--work", type=Path, default=WORK, help=f"of artifacts and checkpoints (default {WORK})"
    )
    parser.add_argument(
        "--threads", type=at_least(1), help="within an operator (default: onnxruntime's choice)"
    )
    parser.add_argument(
        "--kernels",
        choices=KERNELS,
        default=AUTO,
        help="whose train (default auto: the fast ones where the artifacts have them)",
    )


def run_all(experiment: Experiment, arguments: argparse.Namespace) -> None:
    """Runs every seed and prints what comes out.

    Raises:
        DataError: the data is not there or damaged.
        UserError: options contradict each other, or a run is impossible or diverges.
    """
    names = ("steps", "evaluate_every", "l1", *OPTIONS_OF_T, "target")
    options = {name: getattr(arguments, name) for name in names}
    without_t = [name for name in OPTIONS_OF_T if options[name] is not None]
    if without_t and arguments.optimizer != "svgd":
        option = f"--{without_t[0].replace('_', '-')}"
        raise svgd_onnx.UserError(
            f"{option} is of T, which {arguments.optimizer} has not: leave it out."
        )
    if arguments.device == "cuda" and arguments.target != "onnx":
        raise svgd_onnx.UserError("--device cuda trains the target onnx: add --target onnx.")
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    runs = [Run.of(experiment, arguments.optimizer, seed, **options) for seed in seeds]
    if arguments.make_only:
        for run in runs:
            folder = arguments.work / experiment.name / run.name
            runner.make(run, folder)
            print(f"'{folder}' is ready to be trained.")
        return
    if arguments.data is None:
        raise svgd_onnx.UserError("Give the folder of the data set with --data.")
    print(describe(runs[0]))
    data = experiment.load(arguments.data)
    device = {
        "device": arguments.device,
        "device_options": parse_device_options(arguments.device_option),
        "keep_state": arguments.keep_state,
    }
    results = [train(run, data, arguments, tested=print_last, **device) for run in runs]
    for run, result in zip(runs, results):
        print(f"seed {run.seed}: {summary(experiment, [result])}")
    if len(results) > 1:
        print(f"mean: {summary(experiment, results)}")
    paper = experiment.recipes[arguments.optimizer].paper_error
    if paper is not None and not runs[0].variant:
        print(f"the paper, {experiment.steps:,} steps (batch statistics): {paper:.2%}")


def train(run: Run, data: Data, arguments: argparse.Namespace, **options: Any) -> Result:
    """Trains where the command line says; says so where a result is there already.

    Raises:
        UserError: the run is impossible or diverges.
    """
    name = run.experiment.name
    path = arguments.output / name / f"{run.name}.csv"

    def print_found(result: Result) -> None:
        every = result.settings["evaluate_every"]
        print(f"'{path}' is finished, tested each {every:,} steps; it is not run again.")

    return runner.train(
        run,
        data,
        arguments.work / name / run.name,
        path,
        threads=arguments.threads,
        kernels=arguments.kernels,
        found=print_found,
        progress=sys.stdout.isatty(),
        **options,
    )


def describe(run: Run) -> str:
    """What is about to be run, in a line or two."""
    experiment = run.experiment
    text = f"{experiment.title}, {run.optimizer}, {run.steps:,} steps, a test each "
    text += f"{run.evaluate_every:,}, onnxruntime {onnxruntime.__version__}"
    if run.steps != experiment.steps:
        changes = " and ".join(f"{each:,}" for each in experiment.changes(run.optimizer, run.steps))
        text += (
            f"\nThe paper's schedule of {experiment.steps:,} steps in proportion: the learning rate "
            f"changes at {changes}."
        )
    return text


def print_last(result: Result) -> None:
    """The last test, on a line."""
    test, settings = result.tests[-1], result.settings
    print(
        f"{settings['optimizer']} seed {settings['seed']} step {test.step:>6,}: training loss "
        f"{test.training_loss:.4f}, test error {test.batch_error:.2%} (batch statistics), "
        f"{test.running_error:.2%} (running), {result.seconds:,.0f} s",
        flush=True,
    )


def summary(experiment: Experiment, results: list[Result]) -> str:
    """Mean test errors over the last tests of runs."""
    last = min(experiment.averaged_tests, *(len(result.tests) for result in results))
    tests = [test for result in results for test in result.tests[-last:]]
    batch = np.mean([test.batch_error for test in tests])
    running = np.mean([test.running_error for test in tests])
    of = "" if last == 1 else f" (mean of the last {last} tests)"
    return (
        f"test error{of} {batch:.2%} with batch statistics, {running:.2%} with running statistics"
    )


def at_least(minimum: int) -> Callable[[str], int]:
    """An option's type: a whole number, that one or more."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"must be a whole number, not '{text}'") from None
        if value < minimum:
            raise argparse.ArgumentTypeError(f"must be {minimum} or more, not {text}")
        return value

    return parse
