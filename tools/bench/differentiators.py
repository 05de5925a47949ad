"""A training step of the target onnx by our rules of differentiation beside one by onnxruntime's builder.

    python -m tools.bench.differentiators [--stock PYTHON] [--networks ...] [--turns N]

`--stock` is the Python of an environment with svgd-onnx and a stock onnxruntime, which trains both; else this
one does. Each kind has a process of its own; they train in turns. "of the builder's" is the median of ratios
within a turn.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import svgd_onnx
from svgd_onnx.transforms.differentiate.differentiators import ONNXRUNTIME, OWN
from tools.bench.report import report
from tools.bench.targets import BENCHED, artifacts_worker, take_turns
from tools.bench.turns import ratio
from tools.networks import NETWORKS


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stock", default=sys.executable, help="a Python with a stock onnxruntime")
    parser.add_argument("--networks", nargs="+", default=list(BENCHED), choices=BENCHED)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=11)
    parser.add_argument("--output", type=Path, default=Path("build/bench/differentiators.json"))
    arguments = parser.parse_args()
    rows = []
    for network in arguments.networks:
        rows += _measure(network, arguments.stock, arguments.threads, arguments.turns)
    report("Training steps of the target onnx, SVGD, by differentiator", rows, arguments.output)


def _measure(network: str, python: str, threads: int, turns: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        for kind in (ONNXRUNTIME, OWN):
            model = NETWORKS[network](0)
            svgd_onnx.convert(model, Path(folder) / kind, target="onnx", differentiator=kind)
        workers = {
            kind: artifacts_worker(python, Path(folder) / kind, threads, BENCHED[network])
            for kind in (ONNXRUNTIME, OWN)
        }
        seconds, peaks = take_turns(workers, turns)
    return [
        {
            "network": network,
            "batch": BENCHED[network][0],
            "kind": kind,
            "ms": 1e3 * statistics.median(measured),
            "of the builder's": ratio(measured, seconds[ONNXRUNTIME]),
            "peak MB": peaks[kind] / 1e6,
        }
        for kind, measured in seconds.items()
    ]


if __name__ == "__main__":
    main()
