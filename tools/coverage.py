"""Convert, train and check models of all kinds, and print a table.

    python -m tools.coverage light --batch-size 4      the onnx package's nine classic networks
    python -m tools.coverage fixtures                  what exporters wrote: tests/fixtures

For each model: nodes, trainable parameters, seconds of conversion; the loss before and after ten SVGD
steps on one fixed batch, at the largest of a few learning rates at which it falls; and the largest
error of a gradient against central differences in float64.

Most of the time goes into large arrays that come and go; with the GNU C library it halves if they are kept:
MALLOC_MMAP_THRESHOLD_=17179869184 MALLOC_TRIM_THRESHOLD_=17179869184.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from rich.console import Console
from rich.table import Table

import svgd_onnx
from svgd_onnx import ParameterCheck
from svgd_onnx.gradient_check.check import example_batch
from svgd_onnx.manifest import Manifest
from tools import light_models
from tools.fixtures.trainings import SIZES, options_for

FIXTURES = Path(__file__).parent.parent / "tests" / "fixtures"
LEARNING_RATES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
STEPS = 10


@dataclass(frozen=True)
class Case:
    """A model and how it is trained.

    Attributes:
        name: of the model.
        exporter: who wrote it.
        model: the model.
        options: for `convert` and `check`.
    """

    name: str
    exporter: str
    model: onnx.ModelProto
    options: dict[str, object]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", choices=("light", "fixtures"))
    parser.add_argument("names", nargs="*", help="only these models")
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--directions", type=int, default=1)
    parser.add_argument(
        "--sample", type=int, help="check so many parameters of each, spread evenly"
    )
    arguments = parser.parse_args()
    table = Table(title=f"{arguments.set} models, batch size {arguments.batch_size}")
    columns = ("model", "exporter", "nodes", "parameters", "seconds", "rate", "loss", "after ten")
    for column in (*columns, "checked", "largest error", "rounding", "wrong"):
        table.add_column(column, justify="left" if column in ("model", "exporter") else "right")
    wrong = 0
    for case in _light() if arguments.set == "light" else _fixtures():
        if arguments.names and case.name not in arguments.names:
            continue
        started = time.perf_counter()
        rate, losses, seconds, manifest = _train(case, arguments.batch_size)
        found = svgd_onnx.check(
            case.model,
            batch_size=arguments.batch_size,
            random_size=SIZES,
            directions=arguments.directions,
            only=_sample(manifest, arguments.sample),
            **case.options,  # type: ignore[arg-type]
        )
        told = [item for item in found if not item.is_lost]
        worst = max(told or found, key=lambda item: item.error)
        bad = [item for item in found if not item.is_right()]
        wrong += len(bad) + (not losses[-1] < losses[0])
        table.add_row(
            case.name,
            case.exporter,
            str(len(case.model.graph.node)),
            str(sum(parameter.trainable for parameter in manifest.parameters)),
            f"{seconds:.2f}",
            f"{rate:g}",
            f"{losses[0]:.4f}",
            f"{losses[-1]:.4f}",
            str(len(found)),
            f"{worst.error:.1e}",
            f"{worst.rounding:.1e}",
            str(len(bad)),
        )
        done = f"{len(found)} gradients checked, the largest error {worst.error:.1e}"
        spent = f"{time.perf_counter() - started:.0f} s"
        print(f"{case.name}: {done}; {spent}", file=sys.stderr, flush=True)
        for item in bad:
            print(f"  wrong: {_show(item)}", file=sys.stderr, flush=True)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    return 1 if wrong else 0


def _train(case: Case, batch_size: int) -> tuple[float, list[float], float, Manifest]:
    """The learning rate, ten losses and the one after them, and the seconds of conversion."""
    for rate in LEARNING_RATES:
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            manifest = svgd_onnx.convert(
                case.model,
                f"{folder}/artifacts",
                **case.options,
            )
            seconds = time.perf_counter() - started
            trainer = svgd_onnx.Trainer(f"{folder}/artifacts")
            batch = example_batch(
                case.model,
                batch_size=batch_size,
                random_size=SIZES,
                **case.options,
            )
            try:
                losses = [trainer.train_step(batch, rate) for _ in range(STEPS)]
                losses.append(trainer.train_step(batch, 0.0))
            except svgd_onnx.UserError:
                continue  # the loss became infinite
            if losses[-1] < losses[0] or rate == LEARNING_RATES[-1]:
                return rate, losses, seconds, manifest
    return rate, [np.inf, np.inf], seconds, manifest


def _sample(manifest: Manifest, count: int | None) -> list[str]:
    names = [parameter.name for parameter in manifest.parameters if parameter.trainable]
    if count is None or count >= len(names):
        return []
    return [names[round(place)] for place in np.linspace(0, len(names) - 1, count)]


def _show(item: ParameterCheck) -> str:
    return f"{item.parameter} {item.error:.1e} (rounding {item.rounding:.1e})"


def _light() -> Iterator[Case]:
    for name in light_models.NAMES:
        yield Case(name, "onnx light", light_models.load(name), {})


def _fixtures() -> Iterator[Case]:
    for path in sorted(FIXTURES.glob("*.onnx")):
        name, _, exporter = path.stem.rpartition("_")
        if exporter not in ("dynamo", "torchscript", "tf2onnx", "export", "skl2onnx"):
            name, _, exporter = name.rpartition("_")  # a variant: _bn, _tied
        yield Case(path.stem, exporter, onnx.load(path), options_for(path.stem))


if __name__ == "__main__":
    sys.exit(main())
