"""Our rules of differentiation beside onnxruntime's gradient builder, on both targets.

    python -m tools.differentiators fixtures           what exporters wrote: tests/fixtures
    python -m tools.differentiators light [NAME...]    the onnx package's nine classic networks

"gradients" is the largest difference of a parameter's gradient at the first step, over its largest entry or
a millionth of the model's largest. "losses" is how far apart 20 SVGD steps of both are, over the first loss,
and "threads" how far those of one builder are with one and with two threads, whichever more. Where gradients
are more than 1e-5 apart, rounding has decided; then "own" and "builder" are the errors of both of the
farthest parameter beside central differences in float64.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping

import numpy as np
import onnx
from rich.console import Console
from rich.table import Table

import svgd_onnx
from svgd_onnx.conversion.example_batch import random_batch
from svgd_onnx.conversion.options import TrainingSettings
from svgd_onnx.conversion.plan import plan_training
from svgd_onnx.gradient_check.check import example_batch
from svgd_onnx.gradient_check.gradients import by_use, gradients
from svgd_onnx.targets import TARGETS
from svgd_onnx.transforms.differentiate.differentiators import ONNXRUNTIME, OWN, differentiate
from svgd_onnx.transforms.lower import Lower, LowerUntrusted
from tools import light_models
from tools.coverage import FIXTURES
from tools.fixtures.trainings import SIZES, options_for

STEPS = 20
RATE = {"fixtures": 1e-2, "light": 1e-6}
NEAR = 1e-5
PASSES = {"ort-training": LowerUntrusted, "onnx": Lower}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.differentiators")
    parser.add_argument("set", choices=("fixtures", "light"))
    parser.add_argument("names", nargs="*", help="parts of names; all models if none")
    parser.add_argument("--batch-size", type=int, default=2)
    arguments = parser.parse_args()
    table = Table(title=f"{arguments.set}, batch size {arguments.batch_size}")
    for column in ("model", "target", "gradients", "own", "builder", "losses", "threads", ""):
        table.add_column(column, justify="left" if column in ("model", "target") else "right")
    apart = 0
    for name, model, options in _models(arguments.set):
        if arguments.names and not any(part in name for part in arguments.names):
            continue
        for target in TARGETS:
            row, close = _compare(model, target, options, arguments.batch_size, RATE[arguments.set])
            apart += not close
            table.add_row(name, target, *row, "" if close else "apart")
            print(name, target, *row, file=sys.stderr, flush=True)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    return 1 if apart else 0


def _models(kind: str) -> list[tuple[str, onnx.ModelProto, dict[str, object]]]:
    if kind == "light":
        return [(name, _undropped(light_models.load(name)), {}) for name in light_models.NAMES]
    return [
        (path.stem, onnx.load(path), options_for(path.stem))
        for path in sorted(FIXTURES.glob("*.onnx"))
    ]


def _undropped(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with all of its Dropout's ratios at 0: two builders do not draw the same numbers."""
    for node in model.graph.node:
        if node.op_type == "Dropout":
            del node.attribute[:]
            node.attribute.append(onnx.helper.make_attribute("ratio", 0.0))
    return model


def _compare(
    model: onnx.ModelProto, target: str, options: Mapping[str, object], size: int, rate: float
) -> tuple[list[str], bool]:
    """The cells of a row, and whether both builders are as near as they should be."""
    far, parameter = _gradients_apart(model, target, options, size)
    errors = ["", ""]
    if far > NEAR:
        errors = [f"{_error(model, options, parameter, each):.1e}" for each in (OWN, ONNXRUNTIME)]
    theirs = _losses(model, target, options, size, rate, ONNXRUNTIME, 2)
    ours = _losses(model, target, options, size, rate, OWN, 2)
    losses = _apart(theirs, ours)
    threads = max(
        _apart(theirs, _losses(model, target, options, size, rate, ONNXRUNTIME, 1)),
        _apart(ours, _losses(model, target, options, size, rate, OWN, 1)),
    )
    # float32's unit in the last place is what any two orders of adding differ by
    close = losses <= 3 * max(threads, float(np.finfo(np.float32).eps) * STEPS)
    return [f"{far:.1e}", *errors, f"{losses:.1e}", f"{threads:.1e}"], close


def _gradients_apart(
    model: onnx.ModelProto, target: str, options: Mapping[str, object], size: int
) -> tuple[float, str]:
    """The largest relative difference, and the parameter that has it."""
    plan = plan_training(model, TrainingSettings(**options), dropout=False)  # type: ignore[arg-type]
    values = {name: tensor.numpy() for name, tensor in plan.values.items()}
    batch = random_batch(plan, size, SIZES, np.random.default_rng(0))
    feeds = {**batch, **values, **by_use(plan, values)}
    found = []
    for each in (ONNXRUNTIME, OWN):
        graph, _ = differentiate(plan.forward, plan.copies, each)
        PASSES[target]()(graph)
        found.append(gradients(graph, plan, feeds))
    largest = max(float(np.abs(gradient).max()) for gradient in found[0].values())
    return max(
        (
            float(np.abs(found[1][name] - gradient).max())
            / max(float(np.abs(gradient).max()), 1e-6 * largest),
            name,
        )
        for name, gradient in found[0].items()
    )


def _error(
    model: onnx.ModelProto, options: Mapping[str, object], parameter: str, differentiator: str
) -> float:
    """Of a parameter's gradient, beside central differences in float64."""
    (found,) = svgd_onnx.check(
        model,
        random_size=SIZES,
        only=[parameter],
        directions=1,
        differentiator=differentiator,
        **options,  # type: ignore[arg-type]
    )
    return found.error


def _losses(
    model: onnx.ModelProto,
    target: str,
    options: Mapping[str, object],
    size: int,
    rate: float,
    differentiator: str,
    threads: int,
) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        artifacts = f"{folder}/artifacts"
        svgd_onnx.convert(model, artifacts, target=target, differentiator=differentiator, **options)
        trainer = svgd_onnx.Trainer(artifacts, threads=threads)
        batch = example_batch(model, batch_size=size, random_size=SIZES, **options)  # type: ignore[arg-type]
        return [trainer.train_step(batch, rate) for _ in range(STEPS)]


def _apart(some: list[float], others: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(some, others)) / some[0]


if __name__ == "__main__":
    sys.exit(main())
