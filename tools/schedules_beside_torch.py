"""Learning rates and losses of 50 steps by each schedule, beside PyTorch's schedulers with its SGD.

    python3.11 -m venv /tmp/torch
    /tmp/torch/bin/pip install torch onnx numpy
    /tmp/torch/bin/python -m tools.schedules_beside_torch [--python .venv/bin/python]

A small network is converted and trained by the command line of another Python, which has svgd-onnx and
onnxruntime; its log has the rates and losses. PyTorch trains the same network on the same batch. The exit code
is 1 if a rate differs by more than 1e-6 of it, or a loss by more than 1e-4.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.optim import lr_scheduler

ALPHA, STEPS, WARMUP = 0.5, 50, 10
EXAMPLES, FEATURES, HIDDEN, CLASSES = 64, 8, 16, 4
MOST_RATE, MOST_LOSS = 1e-6, 1e-4

Made = Callable[[torch.optim.Optimizer, int], Any]

SCHEDULES: dict[str, Made] = {
    "cosine": lambda sgd, steps: lr_scheduler.CosineAnnealingLR(sgd, steps),
    "cosine,min=0.05": lambda sgd, steps: lr_scheduler.CosineAnnealingLR(sgd, steps, eta_min=0.05),
    "linear": lambda sgd, steps: lr_scheduler.LinearLR(sgd, 1.0, 0.0, steps),
    "linear,min=0.05": lambda sgd, steps: lr_scheduler.LinearLR(sgd, 1.0, 0.05 / ALPHA, steps),
    "polynomial,power=2": lambda sgd, steps: lr_scheduler.PolynomialLR(sgd, steps, power=2.0),
    "one-cycle": lambda sgd, steps: lr_scheduler.OneCycleLR(
        sgd, ALPHA, total_steps=steps, cycle_momentum=False
    ),
    "one-cycle,pct-start=0.5,div-factor=10,final-div-factor=100": lambda sgd, steps: (
        lr_scheduler.OneCycleLR(
            sgd,
            ALPHA,
            total_steps=steps,
            pct_start=0.5,
            div_factor=10,
            final_div_factor=100,
            cycle_momentum=False,
        )
    ),
    "20:0.1,40:0.02": lambda sgd, steps: lr_scheduler.LambdaLR(
        sgd, lambda step: (1.0 if step < 20 else 0.1 / ALPHA if step < 40 else 0.02 / ALPHA)
    ),
    # improvements of less than a fiftieth do not count, so that the rate falls several times
    "plateau,factor=0.5,patience=3,threshold=0.02": lambda sgd,
    steps: lr_scheduler.ReduceLROnPlateau(sgd, factor=0.5, patience=3, threshold=0.02),
    "plateau,factor=0.5,patience=2,threshold=0.02,cooldown=3,min=0.1": lambda sgd, steps: (
        lr_scheduler.ReduceLROnPlateau(
            sgd, factor=0.5, patience=2, threshold=0.02, cooldown=3, min_lr=0.1
        )
    ),
    f"warmup={WARMUP},cosine": lambda sgd, steps: _warmed_up(
        sgd, lr_scheduler.CosineAnnealingLR(sgd, steps - WARMUP)
    ),
    f"warmup={WARMUP},polynomial,power=2": lambda sgd, steps: _warmed_up(
        sgd, lr_scheduler.PolynomialLR(sgd, steps - WARMUP, power=2.0)
    ),
}


def main() -> None:
    """Prints a row for each schedule."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=".venv/bin/python", help="which has svgd-onnx")
    python = parser.parse_args().python
    random = np.random.default_rng(0)
    weights = {
        "w1": random.normal(size=(HIDDEN, FEATURES)) / np.sqrt(FEATURES),
        "b1": random.normal(size=HIDDEN),
        "w2": random.normal(size=(CLASSES, HIDDEN)) / np.sqrt(HIDDEN),
        "b2": random.normal(size=CLASSES),
    }
    weights = {name: array.astype(np.float32) for name, array in weights.items()}
    x = random.normal(size=(EXAMPLES, FEATURES)).astype(np.float32)
    data = {"x": x, "labels": random.integers(CLASSES, size=EXAMPLES)}
    failed = False
    print(f"{'schedule':<66} last rate  rates apart  losses apart")
    for schedule, made in SCHEDULES.items():
        ours = _ours(python, weights, data, schedule)
        theirs = _theirs(weights, data, made)
        rate = float(np.max(np.abs(ours[0] - theirs[0]) / np.maximum(theirs[0], 1e-12)))
        loss = float(np.max(np.abs(ours[1] - theirs[1])))
        failed |= rate > MOST_RATE or loss > MOST_LOSS
        print(f"{schedule:<66} {ours[0][-1]:9.2e} {rate:12.1e} {loss:13.1e}")
    sys.exit(failed)


def _ours(
    python: str, weights: dict[str, np.ndarray], data: dict[str, np.ndarray], schedule: str
) -> tuple[np.ndarray, np.ndarray]:
    """Rates and losses, from the log of the command line."""
    with tempfile.TemporaryDirectory() as work:
        model, examples, artifacts, log = (
            Path(work) / name for name in ("m.onnx", "data.npz", "artifacts", "log.csv")
        )
        onnx.save(_network(weights), model)
        np.savez(examples, **data)
        command = [python, "-m", "svgd_onnx"]
        made = ["--output", artifacts, "--target", "onnx", "--optimizer", "sgd", "--no-verify"]
        subprocess.run([*command, "convert", model, *made], check=True, capture_output=True)
        length = ["--steps", str(STEPS), "--batch-size", str(EXAMPLES)]
        rate = ["--learning-rate", str(ALPHA), "--schedule", schedule]
        files = ["--data", examples, "--validation", examples, "--log", log]
        trained = [*command, "train", artifacts, *files, *length, *rate]
        subprocess.run(trained, check=True, capture_output=True)
        rows = list(csv.DictReader(log.open()))
    return tuple(np.array([float(row[name]) for row in rows]) for name in ("learning_rate", "loss"))


def _theirs(
    weights: dict[str, np.ndarray], data: dict[str, np.ndarray], made: Made
) -> tuple[np.ndarray, np.ndarray]:
    parameters = {name: torch.tensor(array, requires_grad=True) for name, array in weights.items()}
    x, labels = torch.from_numpy(data["x"]), torch.from_numpy(data["labels"])

    def loss() -> torch.Tensor:
        hidden = torch.relu(x @ parameters["w1"].T + parameters["b1"])
        logits = hidden @ parameters["w2"].T + parameters["b2"]
        return torch.nn.functional.cross_entropy(logits, labels)

    sgd = torch.optim.SGD(parameters.values(), lr=ALPHA)
    scheduler = made(sgd, STEPS)
    rates, losses = [], []
    for _ in range(STEPS):
        sgd.zero_grad()
        before = loss()
        before.backward()
        rates.append(sgd.param_groups[0]["lr"])
        losses.append(before.item())
        sgd.step()
        follows = isinstance(scheduler, lr_scheduler.ReduceLROnPlateau)
        scheduler.step(*([loss().item()] if follows else []))
    return np.array(rates), np.array(losses)


def _warmed_up(sgd: torch.optim.Optimizer, after: Any) -> Any:
    for group in sgd.param_groups:
        group["lr"] = ALPHA
    before = lr_scheduler.LinearLR(sgd, 1.0 / (WARMUP + 1), 1.0, WARMUP)
    return lr_scheduler.SequentialLR(sgd, [before, after], [WARMUP])


def _network(weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], transB=1),
        helper.make_node("Relu", ["h"], ["a"]),
        helper.make_node("Gemm", ["a", "w2", "b2"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", FEATURES])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


if __name__ == "__main__":
    main()
