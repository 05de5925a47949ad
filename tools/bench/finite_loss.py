"""What it costs that a step's loss tells whether its gradients are finite: steps with and without, in turns.

    python -m tools.bench.finite_loss [--networks ...] [--targets ...] [--turns N] [--output FILE.json]

"without" is the same folder, its step without the nodes of `FiniteLoss`. "of without" is the median of the
ratios within a turn, "peak" the most memory that the process ever had resident.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import onnx_ir as ir
from onnx_ir.passes import common

import svgd_onnx
from svgd_onnx.hashes import sha256
from svgd_onnx.manifest import Manifest
from svgd_onnx.step_names import LOSS
from svgd_onnx.targets import TARGETS
from svgd_onnx.targets.kernels import FAST, STANDARD
from svgd_onnx.transforms.emit import plain_loss
from svgd_onnx.transforms.writer import take_place
from tools.bench.report import report
from tools.bench.targets import BENCHED, artifacts_worker, take_turns
from tools.bench.turns import ratio
from tools.networks import NETWORKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--networks", nargs="+", default=["paper_mlp", "paper_vgg"], choices=BENCHED
    )
    parser.add_argument("--targets", nargs="+", default=list(TARGETS), choices=TARGETS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=31)
    parser.add_argument("--output", type=Path, default=Path("build/bench/finite_loss.json"))
    arguments = parser.parse_args()
    rows = [
        _row(network, target, kernels, arguments.threads, arguments.turns)
        for network in arguments.networks
        for target in arguments.targets
        for kernels in (FAST, STANDARD)
    ]
    report("Steps whose loss tells whether their gradients are finite", rows, arguments.output)


def _row(network: str, target: str, kernels: str, threads: int, turns: int) -> dict[str, Any]:
    step, fast = TARGETS[target].step, TARGETS[target].fast_step
    with tempfile.TemporaryDirectory() as name:
        folders = {"with": Path(name) / "with", "without": Path(name) / "without"}
        svgd_onnx.convert(NETWORKS[network](0), folders["with"], target=target, verify=False)
        if kernels == STANDARD:  # a copy may lack the step of fast kernels
            (folders["with"] / fast).unlink()
        shutil.copytree(folders["with"], folders["without"])
        _take_out(folders["without"], fast if kernels == FAST else step)
        workers = {
            kind: artifacts_worker(sys.executable, folder, threads, BENCHED[network])
            for kind, folder in folders.items()
        }
        seconds, peaks = take_turns(workers, turns)
    return {
        "network": network,
        "batch": BENCHED[network][0],
        "target": target,
        "kernels": kernels,
        "ms": 1e3 * statistics.median(seconds["with"]),
        "of without": ratio(seconds["with"], seconds["without"]),
        "peak MB": peaks["with"] / 1e6,
        "peak without": peaks["without"] / 1e6,
    }


def _take_out(folder: Path, name: str) -> None:
    path = folder / name
    model = ir.load(path)
    loss = next(value for value in model.graph.outputs if value.name == LOSS)
    before = plain_loss(loss)
    take_place(before, loss)
    model.graph.outputs[list(model.graph.outputs).index(loss)] = before
    common.RemoveUnusedNodesPass()(model)
    ir.save(model, path)
    manifest = Manifest.load(folder)
    manifest.files[name] = sha256(path)
    manifest.save(folder)


if __name__ == "__main__":
    main()
