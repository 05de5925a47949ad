"""Two runs of tools/arm64/train beside each other: losses step for step, and what was exported.

    python tools/arm64/compare.py DATA HERE THERE [--tolerance 1e-5]

DATA has the test data, on which what was exported is run here. Exits with 1 if a loss differs by more than the
tolerance, relative to it.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from rich.console import Console
from rich.table import Table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("here", type=Path)
    parser.add_argument("there", type=Path)
    parser.add_argument("--tolerance", type=float, default=1e-5)
    arguments = parser.parse_args()
    here, there = arguments.here, arguments.there
    for folder in (here, there):
        print((folder / "versions").read_text().strip())
    table = Table(title="largest differences")
    for column in ("network and T", "graph of the step"):
        table.add_column(column)
    for column in (
        "steps",
        "first loss",
        "last loss",
        "of a loss",
        "of a probability",
        "accuracies",
    ):
        table.add_column(column, justify="right")
    worst = 0.0
    names = sorted(path.stem for path in here.glob("*.csv"))
    for name in names:
        losses, others = _losses(here / f"{name}.csv"), _losses(there / f"{name}.csv")
        difference = float(np.max(np.abs(others / losses - 1)))
        worst = max(worst, difference)
        images = np.load(arguments.data / f"{name.rpartition('_')[0]}_test.npz")["image"]
        probabilities = [
            _infer(folder / f"{name}_trained.onnx", images) for folder in (here, there)
        ]
        graphs = [(folder / f"{name}.onnx").read_bytes() for folder in (here, there)]
        table.add_row(
            name,
            "the same" if graphs[0] == graphs[1] else "another",
            str(len(losses)),
            f"{losses[0]:.5f}",
            f"{losses[-1]:.5f}",
            f"{difference:.1e}",
            f"{np.max(np.abs(probabilities[1] - probabilities[0])):.1e}",
            ", ".join(_accuracy(folder / f"{name}.evaluation") for folder in (here, there)),
        )
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    print(f"{len(names)} trainings, largest relative difference of a loss {worst:.1e}")
    return 0 if names and worst <= arguments.tolerance else 1


def _losses(path: Path) -> np.ndarray:
    with path.open(newline="") as file:
        return np.array([float(row["loss"]) for row in csv.DictReader(file)])


def _infer(model: Path, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": images})[0]


def _accuracy(path: Path) -> str:
    return dict(line.split() for line in path.read_text().splitlines())["accuracy"]


if __name__ == "__main__":
    sys.exit(main())
