"""Losses of a training with fast kernels beside one with standard operators.

    python -m tools.fast_kernels [--networks ...] [--targets ...] [--steps 50] [--batch N] [--output FILE.json]

Each network is trained on some batches, the same for all. "Apart" is how far a loss with fast kernels is from
that of standard operators at the same step, at most. "Threads" is how far one thread is from two, "rounding"
how far standard operators come from themselves if each number of the data is the next one, up or down; each of
whichever kernels, or threads, differ more. All are relative to the loss. The exit code is 1 if kernels are more
than three times as far apart as both.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import svgd_onnx
from svgd_onnx.targets import TARGETS
from svgd_onnx.targets.kernels import FAST, STANDARD
from tools.bench.networks import BENCHED
from tools.bench.report import report

_RATE = 0.01
_BATCHES = 8
# Times what threads and rounding do.
_MOST = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    usual = ["paper_mlp", "paper_vgg", "paper_resnet20", "small_transformer"]
    parser.add_argument("--networks", nargs="+", default=usual, choices=BENCHED)
    parser.add_argument("--targets", nargs="+", default=list(TARGETS), choices=TARGETS)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch", type=int, help="examples a step, where not the usual number")
    parser.add_argument("--output", type=Path, default=Path("build/bench/fast_kernels.json"))
    given = parser.parse_args()
    rows = [
        _row(network, target, given.steps, given.batch or BENCHED[network].batch)
        for network in given.networks
        for target in given.targets
    ]
    report(f"Losses of {given.steps} steps", rows, given.output)
    bounds = (_MOST * max(float(row["threads"]), float(row["rounding"])) for row in rows)
    sys.exit(any(float(row["apart"]) > bound for row, bound in zip(rows, bounds)))


def _row(network: str, target: str, steps: int, batch: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "a"
        BENCHED[network].convert(folder, batch, target=target)
        arrays = BENCHED[network].arrays(_names(folder), _BATCHES * batch)
        losses = {
            (kernels, threads): _losses(folder, kernels, threads, steps, batch, arrays)
            for kernels in (FAST, STANDARD)
            for threads in (1, 2)
        }
        nudged = [
            _losses(folder, STANDARD, threads, steps, batch, _nudged(arrays)) for threads in (1, 2)
        ]
    usual = [losses[STANDARD, threads] for threads in (1, 2)]
    fast = [losses[FAST, threads] for threads in (1, 2)]
    return {
        "network": network,
        "batch": batch,
        "target": target,
        "first loss": float(usual[0][0]),
        "last loss": float(usual[0][-1]),
        "apart": f"{max(map(_apart, fast, usual)):.1e}",
        "threads": f"{max(_apart(*fast), _apart(*usual)):.1e}",
        "rounding": f"{max(map(_apart, nudged, usual)):.1e}",
    }


def _names(folder: Path) -> list[str]:
    return [tensor.name for tensor in svgd_onnx.Trainer(folder).manifest.arrays]


def _nudged(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each real number's neighbour, up or down."""
    random = np.random.default_rng(0)
    return {
        name: np.nextafter(array, array + random.choice(np.float32([-1, 1]), array.shape))
        if array.dtype == np.float32
        else array
        for name, array in arrays.items()
    }


def _losses(
    folder: Path,
    kernels: str,
    threads: int,
    steps: int,
    batch: int,
    arrays: Mapping[str, np.ndarray],
) -> np.ndarray:
    """The losses of a training from the folder's checkpoint, which stays as it is."""
    trainer = svgd_onnx.Trainer(folder, threads=threads, kernels=kernels)
    losses = []
    for step in range(steps):
        start = step % _BATCHES * batch
        rows = {name: array[start : start + batch] for name, array in arrays.items()}
        losses.append(trainer.train_step(rows, _RATE))
    return np.array(losses)


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.max(np.abs(one - other) / np.abs(other)))


if __name__ == "__main__":
    main()
