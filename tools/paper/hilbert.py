"""The authors' least-squares problem as a study of Theorem 4.2: `python -m tools.paper.hilbert`.

Minimize |H x - b|^2 from x = 0, where H is the 10 x 10 Hilbert matrix and b is 0.05 everywhere. The paper
does not say so: it is from the authors' published code, as are AdaGrad's accumulator, which starts at 0.1, and
SVGD with rho = 0, whose r is the last gradient's square alone. All have the learning rate 0.01 there.

Here sigma' = H x, so that T acts on the residual's gradient, entry by entry. Gradient descent and SVGD are
trained on onnxruntime. AdaGrad, which svgd-onnx does not have, is two lines of NumPy.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper

import svgd_onnx
from tools.paper.command import RESULTS, at_least
from tools.paper.errors import told_in_a_sentence
from tools.paper.rows import save_rows

SIZE = 10
TARGET = 0.05
RATE = 0.01
RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
STEPS = 100
ACCUMULATOR = 0.1
NAMES = {
    "gd": "gradient descent",
    "adagrad": "AdaGrad",
    "svgd": "SVGD",
    "svgd_rho_0": "SVGD, rho = 0",
}
CONVERSIONS: dict[str, dict[str, Any]] = {  # of those that are trained on onnxruntime
    "gd": {"optimizer": "sgd"},
    "svgd": {"optimizer": "svgd", "scale": 1.0},
    "svgd_rho_0": {"optimizer": "svgd", "scale": 1.0, "rho": 0.0},
}


class Losses(NamedTuple):
    """A run: the loss before each step, and after the last."""

    optimizer: str
    rate: float
    losses: np.ndarray

    @property
    def descending(self) -> float:
        """Share of the steps that lowered the loss."""
        return float(np.mean(np.diff(self.losses) < 0))


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.paper.hilbert", description="Least squares with the Hilbert matrix."
    )
    parser.add_argument("--steps", type=at_least(1), default=STEPS, help=f"(default {STEPS})")
    parser.add_argument("--output", type=Path, default=RESULTS, help=f"(default {RESULTS})")
    arguments = parser.parse_args()
    with told_in_a_sentence():
        runs = [minimize(optimizer, rate, arguments.steps) for optimizer in NAMES for rate in RATES]
        save(runs, arguments.output / "hilbert.csv")
    for run in runs:
        print(
            f"{run.optimizer:>10}, rate {run.rate:<6}: loss {run.losses[0]:.6f} -> "
            f"{run.losses[-1]:.6f}, {run.descending:.0%} of the steps descend"
        )


def matrix() -> np.ndarray:
    """The Hilbert matrix, (10, 10) float32."""
    index = np.arange(SIZE)
    return (1 / (index[:, None] + index[None, :] + 1)).astype(np.float32)


def minimize(optimizer: str, rate: float, steps: int) -> Losses:
    """A run of an optimizer of NAMES; SVGD with s = 1."""
    if optimizer == "adagrad":
        return Losses(optimizer, rate, _adagrad(rate, steps))
    batch = {
        "matrix": matrix()[None],
        "target": np.full((1, SIZE, 1), TARGET, np.float32),
    }
    with tempfile.TemporaryDirectory() as folder:
        svgd_onnx.convert(
            model(),
            Path(folder) / "artifacts",
            loss="mse",
            loss_settings=svgd_onnx.LossSettings(reduction="sum"),
            granularity="element",
            **CONVERSIONS[optimizer],
        )
        trainer = svgd_onnx.Trainer(Path(folder) / "artifacts", threads=1)
        label = trainer.manifest.arrays[-1].name
        batch[label] = batch.pop("target")
        losses = [trainer.train_step(batch, rate) for _ in range(steps)]
        losses.append(trainer.evaluate(batch)["loss"])
    return Losses(optimizer, rate, np.array(losses))


def model() -> onnx.ModelProto:
    """matrix (batch, 10, 10) -> matrix times x (batch, 10, 1), with x = 0."""
    weight = numpy_helper.from_array(np.zeros((SIZE, 1), np.float32), "x")
    matrix, product = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", SIZE, width])
        for name, width in (("matrix", SIZE), ("product", 1))
    )
    node = helper.make_node("MatMul", ["matrix", "x"], ["product"], name="product")
    graph = helper.make_graph([node], "hilbert", [matrix], [product], [weight])
    result = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    result.ir_version = 8
    onnx.checker.check_model(result, full_check=True)
    return result


def save(runs: list[Losses], path: Path) -> None:
    """Writes the losses as CSV, a row for each optimizer, rate and step; all at once.

    Raises:
        UserError: the file cannot be written.
    """
    rows = (
        [run.optimizer, run.rate, step, f"{loss:.7g}"]
        for run in runs
        for step, loss in enumerate(run.losses)
    )
    save_rows(path, ["optimizer", "rate", "step", "loss"], rows)


def load(path: Path) -> list[Losses]:
    """What `save` wrote."""
    runs: dict[tuple[str, float], list[float]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            runs.setdefault((row["optimizer"], float(row["rate"])), []).append(float(row["loss"]))
    return [Losses(*key, np.array(losses)) for key, losses in runs.items()]


def _adagrad(rate: float, steps: int) -> np.ndarray:
    h = matrix().astype(np.float64)
    x, accumulator = np.zeros(SIZE), np.full(SIZE, ACCUMULATOR)
    losses = []
    for _ in range(steps + 1):
        residual = h @ x - TARGET
        losses.append(residual @ residual)
        gradient = 2 * h.T @ residual
        accumulator += gradient**2
        x -= rate * gradient / np.sqrt(accumulator)
    return np.array(losses)


if __name__ == "__main__":
    main()
