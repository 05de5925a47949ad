"""A training step of the target onnx beside one of onnxruntime's training session.

    python -m tools.bench.targets [--stock PYTHON] [--networks ...] [--threads N] [--output FILE.json]

`--stock` is the Python of an environment with svgd-onnx and a stock onnxruntime. Each kind has a process of
its own, which waits while the others run; they train in turns. "ms" is the median over turns, "of the session"
the median of ratios within a turn, "peak" the most memory that the process ever had resident.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import svgd_onnx
from tools.bench import networks
from tools.bench.report import report
from tools.bench.turns import ratio
from tools.bench.turns import take_turns as turns_of
from tools.networks import NETWORKS

# Of those of the paper, the batch of each and the shape of an example.
BENCHED = {
    name: (each.batch, *each.example) for name, each in networks.BENCHED.items() if name in NETWORKS
}
WORKER = Path(__file__).with_name("step_worker.py")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stock", help="a Python with a stock onnxruntime")
    parser.add_argument("--networks", nargs="+", default=list(BENCHED), choices=BENCHED)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=11)
    parser.add_argument("--output", type=Path, default=Path("build/bench/targets.json"))
    arguments = parser.parse_args()
    kinds = {"session": ("ort-training", sys.executable), "onnx": ("onnx", sys.executable)}
    if arguments.stock:
        kinds["onnx, stock"] = ("onnx", arguments.stock)
    rows = []
    for network in arguments.networks:
        rows += _measure(network, kinds, arguments.threads, arguments.turns)
    report("Training steps, SVGD, by target", rows, arguments.output)


def _measure(
    network: str, kinds: dict[str, tuple[str, str]], threads: int, turns: int
) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        for target in ("ort-training", "onnx"):
            svgd_onnx.convert(NETWORKS[network](0), Path(folder) / target, target=target)
        workers = {
            kind: artifacts_worker(python, Path(folder) / target, threads, BENCHED[network])
            for kind, (target, python) in kinds.items()
        }
        seconds, peaks = take_turns(workers, turns)
    return [
        {
            "network": network,
            "batch": BENCHED[network][0],
            "kind": kind,
            "onnxruntime": _version(kinds[kind][1]),
            "ms": 1e3 * statistics.median(measured),
            "of the session": ratio(measured, seconds["session"]),
            "peak MB": peaks[kind] / 1e6,
        }
        for kind, measured in seconds.items()
    ]


def take_turns(
    workers: dict[str, Worker], turns: int
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Seconds of a step in each turn, and bytes at the peak, by the kinds of workers, which end."""
    seconds = dict(zip(workers, turns_of(workers.values(), turns)))
    return seconds, {kind: worker.stop() for kind, worker in workers.items()}


def artifacts_worker(python: str, folder: Path, threads: int, shape: tuple[int, ...]) -> Worker:
    """A process that trains artifacts."""
    return Worker([python, WORKER, folder, threads, *shape])


class Worker:
    """A process that trains in turns, such as `step_worker.py`, ready to."""

    def __init__(self, command: Sequence[object]) -> None:
        self._process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answer()

    def turn(self) -> float:
        """Seconds of a step."""
        assert self._process.stdin is not None
        self._process.stdin.write("train\n")
        self._process.stdin.flush()
        return float(self._answer())

    def stop(self) -> int:
        """Its peak of resident memory, in bytes."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        peak = int(self._answer())
        self._process.wait()
        return peak

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(map(str, self._process.args))} failed")  # type: ignore[arg-type]
        return line


def _version(python: str) -> str:
    command = [python, "-c", "import onnxruntime; print(onnxruntime.__version__)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
