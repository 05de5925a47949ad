"""Where a step of the target onnx spends its time, and what it copies, by onnxruntime's own profiler.

    python -m tools.bench.profile_step [--stock PYTHON] [--networks ...] [--kernels ...] [--threads N]
        [--output FILE.json]

`--stock` is the Python of an environment with svgd-onnx and a stock onnxruntime. "share" is of the time of a
step, "calls" are of one step. What no operator accounts for is the runtime's own work between them, and the
profiler's. Exits with 1 if a step copies a tensor of the checkpoint.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

import svgd_onnx
from svgd_onnx.targets.kernels import AUTO, KERNELS
from svgd_onnx.targets.standard_onnx.file_names import CHECKPOINT
from tools.bench.report import report
from tools.bench.targets import BENCHED
from tools.networks import NETWORKS

WORKER = Path(__file__).with_name("profile_worker.py")
STEPS = 13
WARM_UP = 3
SHOWN = 6
# With memory bound for all that a step changes, an operator writes there or is followed by one of these.
COPYING = ("Identity", "MemcpyFromHost", "MemcpyToHost")
STATE_COPIES = "copies of state"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stock", default=sys.executable, help="a Python with a stock onnxruntime")
    parser.add_argument("--networks", nargs="+", default=list(BENCHED), choices=BENCHED)
    parser.add_argument("--kernels", default=AUTO, choices=KERNELS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("build/bench/profile_step.json"))
    arguments = parser.parse_args()
    rows = []
    for network in arguments.networks:
        rows += _measure(network, arguments.stock, arguments.kernels, arguments.threads)
    report("Steps of the target onnx, by operator", rows, arguments.output)
    return 1 if any(row["calls"] for row in rows if row["operator"] == STATE_COPIES) else 0


def _measure(network: str, python: str, kernels: str, threads: int) -> list[dict[str, Any]]:
    # One example less than elsewhere: no tensor of the checkpoint has the shape of a batch then.
    batch, *example = BENCHED[network]
    with tempfile.TemporaryDirectory() as folder:
        artifacts = Path(folder) / "artifacts"
        svgd_onnx.convert(NETWORKS[network](0), artifacts, target="onnx")
        states = {array.shape for array in load_file(artifacts / CHECKPOINT).values()}
        command = [python, WORKER, artifacts, kernels, threads, STEPS, batch - 1, *example]
        run = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True)
        events: list[dict[str, Any]] = json.loads(Path(run.stdout.strip()).read_text())
    steps = [event for event in events if event["name"] == "model_run"]
    assert len(steps) == STEPS
    start = steps[WARM_UP]["ts"]
    return _rows(network, [event for event in events if event["ts"] >= start], states)


def _rows(
    network: str, events: list[dict[str, Any]], states: set[tuple[int, ...]]
) -> list[dict[str, Any]]:
    steps = STEPS - WARM_UP
    time: dict[str, float] = defaultdict(float)
    calls: dict[str, int] = defaultdict(int)
    written: dict[str, int] = defaultdict(int)
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
            operator = event["args"]["op_name"]
            if operator in COPYING and _shapes(event) & states:
                operator = STATE_COPIES
            time[operator] += event["dur"] / steps
            calls[operator] += 1
            written[operator] += int(event["args"]["output_size"])
    whole = sum(event["dur"] for event in events if event["name"] == "model_run") / steps

    def row(name: str, operators: list[str], microseconds: float) -> dict[str, Any]:
        return {
            "network": network,
            "operator": name,
            "calls": sum(calls[operator] for operator in operators) // steps,
            "KB written": sum(written[operator] for operator in operators) / steps / 1e3,
            "ms": microseconds / 1e3,
            "share": microseconds / whole,
        }

    ranked = sorted(set(time) - {STATE_COPIES}, key=lambda operator: -time[operator])
    shown, others = ranked[:SHOWN], ranked[SHOWN:]
    rows = [row(operator, [operator], time[operator]) for operator in shown]
    rows.append(row(f"{len(others)} others", others, sum(time[name] for name in others)))
    rows.append(row("none", [], whole - sum(time.values())))
    rows.append(row(STATE_COPIES, [STATE_COPIES], time[STATE_COPIES]))
    return rows


def _shapes(event: dict[str, Any]) -> set[tuple[int, ...]]:
    """Of what an operator wrote."""
    return {tuple(*output.values()) for output in event["args"]["output_type_shape"]}


if __name__ == "__main__":
    sys.exit(main())
