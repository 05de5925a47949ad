"""A training step with and without checks of labels in the graph, alternating; and what data costs to check.

    python -m tools.bench.index_checks [--networks ...] [--targets ...] [--threads N] [--steps N]

Two trainers in one process take turns, step by step. "ms" is the median of a step of `Trainer.train_step`, "of
unchecked" the median of ratios within a turn. The last table is of a check of labels in a mapped file.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import svgd_onnx
from svgd_onnx.manifest import Tensor
from svgd_onnx.runtime import has_training
from svgd_onnx.targets import TARGETS
from svgd_onnx.training.data import check_arrays
from svgd_onnx.transforms import check_indices
from tools.bench.report import report
from tools.bench.step_worker import batch, peak
from tools.networks import NETWORKS

BENCHED: Mapping[str, tuple[int, ...]] = {"paper_mlp": (32, 784), "paper_vgg": (128, 3, 32, 32)}
RATE = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(BENCHED), choices=BENCHED)
    parser.add_argument("--targets", nargs="+", default=list(TARGETS), choices=TARGETS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=2000, help="of the first network")
    parser.add_argument("--gigabytes", type=float, default=6.0, help="of the mapped file; sparse")
    arguments = parser.parse_args()
    targets = [each for each in arguments.targets if each != "ort-training" or has_training()]
    rows: list[dict[str, Any]] = []
    for network in arguments.networks:
        steps = arguments.steps if network == "paper_mlp" else max(3, arguments.steps // 100)
        for target in targets:
            rows += _measure(network, target, arguments.threads, steps)
    report("Training steps, SVGD, labels checked in the graph", rows, None)
    report("Labels in a mapped file", [_mapped(arguments.gigabytes)], None)


def _measure(network: str, target: str, threads: int, steps: int) -> list[dict[str, Any]]:
    image, labels = batch(BENCHED[network])
    examples = {"image": image, "labels": labels}
    with tempfile.TemporaryDirectory() as folder:
        model = NETWORKS[network](0)
        with mock.patch.dict(check_indices.CHECKS, clear=True):
            svgd_onnx.convert(model, Path(folder) / "unchecked", target=target, verify=False)
        svgd_onnx.convert(model, Path(folder) / "checked", target=target, verify=False)
        trainers = {
            kind: svgd_onnx.Trainer(Path(folder) / kind, threads=threads)
            for kind in ("unchecked", "checked")
        }
        taken: dict[str, list[float]] = {kind: [] for kind in trainers}
        for step in range(steps):
            for kind, trainer in list(trainers.items())[:: 1 if step % 2 else -1]:
                taken[kind].append(_seconds(lambda: trainer.train_step(examples, RATE)))  # noqa: B023
    measured = {kind: each[steps // 10 :] for kind, each in taken.items()}
    unchecked = measured["unchecked"]
    return [
        {
            "network": network,
            "batch": len(labels),
            "target": target,
            "kind": kind,
            "steps": steps,
            "ms": f"{1e3 * statistics.median(each):.4f}",
            "of unchecked": f"{statistics.median(a / b for a, b in zip(each, unchecked)):.4f}",
        }
        for kind, each in measured.items()
    ]


def _mapped(gigabytes: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.npy"
        np.lib.format.open_memmap(path, "w+", np.int32, (round(gigabytes * 2**28),)).flush()
        labels = np.load(path, mmap_mode="r")
        before = peak()
        wanted = [Tensor("labels", "int64", ["N"], 0, 0, 9)]
        seconds = _seconds(lambda: check_arrays({"labels": labels}, wanted, "the data"))
        return {
            "GB": gigabytes,
            "s": seconds,
            "peak MB before": before / 1e6,
            "peak MB after": peak() / 1e6,
        }


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
