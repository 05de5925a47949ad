"""The losses of this environment's onnxruntime beside those that `tools.runtimes.prepare` wrote.

    python tools/runtimes/compare.py FOLDER [--tolerance 1e-4]

Needs svgd-onnx with any onnxruntime, and no more. Exits with 1 if a loss differs by more than the tolerance.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from rich.console import Console
from rich.table import Table

import svgd_onnx


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    arguments = parser.parse_args()
    table = Table(
        title=f"onnxruntime {onnxruntime.__version__}: losses beside the training session's"
    )
    table.add_column("model")
    for column in ("steps", "first loss", "last loss", "largest relative difference"):
        table.add_column(column, justify="right")
    worst = 0.0
    names = sorted(path.parent.name for path in arguments.folder.glob("*/expected.json"))
    for name in names:
        expected, losses = _losses(arguments.folder / name)
        difference = float(np.max(np.abs(np.array(losses) / np.array(expected) - 1)))
        worst = max(worst, difference)
        row = f"{losses[0]:.5f}", f"{losses[-1]:.5f}", f"{difference:.1e}"
        table.add_row(name, str(len(losses)), *row)
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    print(f"{len(names)} models, largest difference {worst:.1e}")
    return 0 if names and worst <= arguments.tolerance else 1


def _losses(folder: Path) -> tuple[list[float], list[float]]:
    expected = json.loads((folder / "expected.json").read_text())
    batch = dict(np.load(folder / "batch.npz"))
    trainer = svgd_onnx.Trainer(folder / "artifacts", threads=1)
    rate = expected["learning_rate"]
    return expected["losses"], [trainer.train_step(batch, rate) for _ in expected["losses"]]


if __name__ == "__main__":
    sys.exit(main())
