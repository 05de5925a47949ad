"""What `convert --recompute` saves and costs: memory of activations and time of a step, with and without.

    python -m tools.bench.recompute [--stock PYTHON] [--networks ...] [--threads N] [--turns N] [--output FILE]

`--stock` is the Python of an environment with svgd-onnx and a stock onnxruntime. Each kind has a process of
its own; they train in turns. "activations" is the most that tensors of a step take at once, without what a
step reads and leaves: in the order in which onnxruntime's profiler saw its optimized model run, each from the
operator that writes it to the last that reads it. "peak" is of resident memory above that of the opened
session. "apart" is the largest difference of a first step's loss or of a gradient, relative to its
largest entry.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto

import svgd_onnx
from tools.bench.live_memory import live_memory
from tools.bench.report import report
from tools.bench.targets import Worker, take_turns
from tools.bench.turns import ratio
from tools.networks import NETWORKS, small_transformer
from tools.networks.builder import Network

WORKER = Path(__file__).with_name("recompute_worker.py")
STEPS, FEATURES, HIDDEN = 200, 64, 128


def deep_transformer() -> ModelProto:
    """The small transformer with 12 layers."""
    return small_transformer.build(0, layers=12)


def long_lstm() -> ModelProto:
    """image (batch, 200, 64) -> probabilities (batch, 10): an LSTM, and a dense layer on its last state."""
    network, random = Network(0), np.random.default_rng(0)

    def weight(name: str, *shape: int) -> str:
        return network.constant(name, (0.1 * random.standard_normal(shape)).astype(np.float32))

    steps = network.node("Transpose", "image", perm=[1, 0, 2])
    weights = [
        weight("lstm.W", 1, 4 * HIDDEN, FEATURES),
        weight("lstm.R", 1, 4 * HIDDEN, HIDDEN),
        weight("lstm.B", 1, 8 * HIDDEN),
    ]
    last = network.last_state("LSTM", steps, *weights, hidden=HIDDEN)
    return network.model("lstm", [STEPS, FEATURES], network.dense("head", last, HIDDEN, 10), 10)


KINDS = {
    "paper_resnet20": (lambda: NETWORKS["paper_resnet20"](0), (128, 3, 32, 32)),
    "transformer, 12 layers": (deep_transformer, (32, 64, 48)),
    "LSTM, 200 steps": (long_lstm, (256, STEPS, FEATURES)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stock", default=sys.executable, help="a Python with a stock onnxruntime")
    parser.add_argument("--networks", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--output", type=Path, default=Path("build/bench/recompute.json"))
    arguments = parser.parse_args()
    rows = []
    for network in arguments.networks:
        rows += _measure(network, arguments.stock, arguments.threads, arguments.turns)
    report("Steps of the target onnx, with and without --recompute", rows, arguments.output)


def _measure(network: str, python: str, threads: int, turns: int) -> list[dict[str, Any]]:
    build, shape = KINDS[network]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kinds = {"kept": False, "recomputed": True}
        first, alive = {}, {}
        for kind, recompute in kinds.items():
            svgd_onnx.convert(build(), folder / kind, target="onnx", recompute=recompute)
            svgd_onnx.convert(
                build(),
                folder / "plain",
                target="onnx",
                optimizer="momentum",
                recompute=recompute,
                force=True,
            )
            first[kind] = _first_step(
                python, folder / "plain", folder / f"{kind}.npz", threads, shape
            )
            alive[kind] = _alive(python, folder / kind, threads, shape)
        workers = {
            kind: Worker([python, WORKER, "train", folder / kind, threads, *shape])
            for kind in kinds
        }
        seconds, peaks = take_turns(workers, turns)
    return [
        {
            "network": network,
            "batch": shape[0],
            "kind": kind,
            "activations MB": alive[kind] / 1e6,
            "of kept": alive[kind] / alive["kept"],
            "peak MB": peaks[kind] / 1e6,
            "ms": 1e3 * statistics.median(seconds[kind]),
            "time of kept": ratio(seconds[kind], seconds["kept"]),
            "apart": f"{_apart(first[kind], first['kept']):.0e}",
        }
        for kind in kinds
    ]


def _first_step(
    python: str, folder: Path, output: Path, threads: int, shape: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """The loss of a first step, and the gradients, which momentum begins with."""
    command = [python, WORKER, "first", folder, threads, *shape, output]
    subprocess.run(list(map(str, command)), check=True)
    return dict(np.load(output))


def _alive(python: str, folder: Path, threads: int, shape: tuple[int, ...]) -> int:
    command = [python, WORKER, "profile", folder, threads, *shape]
    run = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True)
    events = json.loads(Path(run.stdout.strip()).read_text())
    return live_memory(folder / "optimized.onnx", events)


def _apart(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    return max(
        float(np.abs(one[name] - other[name]).max() / max(np.abs(other[name]).max(), 1e-12))
        for name in other
    )


if __name__ == "__main__":
    main()
