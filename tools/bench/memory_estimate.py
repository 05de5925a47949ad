"""How much memory training takes, as estimated from the graph and as measured.

    python -m tools.bench.memory_estimate [--networks NAME...] [--batches N...] [--output FILE.json]

Each figure is of a fresh process, on one thread: the peak of resident memory over four steps, above what the
process holds once it has trained a tiny network.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import svgd_onnx
from svgd_onnx.conversion.memory.estimate import estimate_memory
from svgd_onnx.targets import TARGETS
from tools.bench.networks import BENCHED
from tools.bench.report import report
from tools.networks import NETWORKS
from tools.usual_models import memory

TINY = "digits_cnn"
TINY_EXAMPLE = (1, 8, 8)
STEPS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ["paper_mlp", "paper_vgg", "paper_resnet20", "small_transformer"]
    parser.add_argument("--networks", nargs="+", default=names, choices=BENCHED)
    parser.add_argument("--batches", nargs="+", type=int, default=[8, 32, 128])
    parser.add_argument("--output", type=Path, default=Path("build/bench/memory_estimate.json"))
    arguments = parser.parse_args()
    rows = [
        row
        for name in arguments.networks
        for target in TARGETS
        for row in _of_network(name, target, arguments.batches)
    ]
    report("Memory of training, estimated and measured", rows, arguments.output)


def _of_network(name: str, target: str, batches: list[int]) -> list[dict[str, Any]]:
    """A row for each batch, on fast kernels."""
    with tempfile.TemporaryDirectory() as place:
        tiny, folder = Path(place) / "tiny", Path(place) / "artifacts"
        svgd_onnx.convert(NETWORKS[TINY](0), tiny, target=target)
        rows = []
        for batch in batches:
            BENCHED[name].convert(folder, batch, target=target, force=True)
            estimate = estimate_memory(folder, svgd_onnx.Manifest.load(folder))
            command = [sys.executable, "-m", __spec__.name, "measure", tiny, folder, name, batch]
            run = subprocess.run(
                list(map(str, command)), check=True, capture_output=True, text=True
            )
            estimated, measured = estimate.nbytes(batch) / 1e6, int(run.stdout) / 1e6
            rows.append(
                {
                    "network": name,
                    "target": target,
                    "batch": batch,
                    "estimated, MB": estimated,
                    "measured, MB": measured,
                    "ratio": estimated / measured,
                }
            )
    return rows


def measure(tiny: str, folder: str, name: str, batch: int) -> None:
    """Prints the bytes that training takes in this process."""
    random = np.random.default_rng(0)
    images = random.standard_normal((2, *TINY_EXAMPLE), np.float32)
    trainer = svgd_onnx.Trainer(tiny, threads=1)
    trainer.train_step({"image": images, "labels": random.integers(0, 10, 2)}, 1e-4)
    names = [each.name for each in svgd_onnx.Manifest.load(Path(folder)).arrays]
    arrays = BENCHED[name].arrays(names, batch)
    before = memory.resident()
    trained = svgd_onnx.Trainer(folder, threads=1)
    # of what was not verified, the first step would be evaluated as well
    trained._state.progress = replace(trained._state.progress, step=1)
    for _ in range(STEPS):
        trained.train_step(arrays, 1e-4)
    print(memory.peak() - before)


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(*sys.argv[2:5], int(sys.argv[5]))
    else:
        main()
