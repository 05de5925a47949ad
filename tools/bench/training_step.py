"""A whole training step, ours with each optimizer on both targets, and PyTorch's where it is installed.

    python -m tools.bench.training_step [--networks ...] [--kinds ...] [--threads N] [--output FILE.json]

Each kind has a process of its own, which waits while the others run; they train in turns, a few steps a
turn. "ms" is the median over turns, on one thread of the processor's time. "of SGD" (that of the same runtime
and target) and "of PyTorch" (the fastest SGD of its modes) are medians of ratios within a turn. "state" is
what the optimizer keeps beside the parameters, "training" how much the steps added to what the loaded process
held, "of PyTorch's" that beside the least of its SGDs, "peak" the most memory that was resident. "standard"
is the form of a step without our own kernels. A second table has the fastest mode of each of PyTorch's
optimizers beside ours.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.bench.networks import BENCHED
from tools.bench.report import report
from tools.bench.turns import ORT_KINDS, TORCH_KINDS, Job, Memory, Process, ratio, take_turns

# Ours, and PyTorch's that stands beside it.
OPTIMIZERS = {"svgd": "sgd", "sgd": "sgd", "rmsprop": "rmsprop", "adam": "adam"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = [*ORT_KINDS, *(TORCH_KINDS if importlib.util.find_spec("torch") else ())]
    usual = [each for each in kinds if each.split()[1] in OPTIMIZERS and "torch svgd" not in each]
    usual = [each for each in usual if each.startswith("torch") or len(each.split()) == 2]
    parser.add_argument("--networks", nargs="+", default=list(BENCHED), choices=BENCHED)
    parser.add_argument("--kinds", nargs="+", default=usual, choices=kinds)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--output", type=Path, default=Path("build/bench/training_step.json"))
    given = parser.parse_args()
    rows, beside = [], []
    for network in given.networks:
        seconds, memories = _measure(network, given.kinds, given.threads, given.turns)
        rows += _rows(network, given.threads, seconds, memories)
        beside += _beside_pytorch(network, given.threads, seconds)
        # of what is there, so that nothing is lost when the run is stopped
        report("Training steps, in turns", rows, given.output)
        if beside:
            output = given.output.with_name(f"{given.output.stem}_beside_pytorch.json")
            report("Beside PyTorch's fastest mode of the optimizer", beside, output)


def _measure(
    network: str, kinds: Sequence[str], threads: int, turns: int
) -> tuple[dict[str, list[float]], dict[str, Memory]]:
    """Seconds of a step in each turn, and memory, by kind."""
    with tempfile.TemporaryDirectory() as folder:
        processes = []
        for number, kind in enumerate(kinds):
            path = str(Path(folder) / str(number))
            job = Job(network, kind, BENCHED[network].batch, threads, path)
            job.convert()
            processes.append(Process())
            processes[-1].open(job)
        seconds = dict(zip(kinds, take_turns(processes, turns)))
        memories = {kind: process.memory() for kind, process in zip(kinds, processes)}
        for process in processes:
            process.end()
    return seconds, memories


def _rows(
    network: str,
    threads: int,
    seconds: Mapping[str, Sequence[float]],
    memories: Mapping[str, Memory],
) -> list[dict[str, Any]]:
    torch = _fastest(seconds, "sgd")
    theirs = [each.training for kind, each in memories.items() if kind.startswith("torch sgd")]
    rows = []
    for kind, measured in seconds.items():
        runtime, _, *mode = kind.split()
        sgd = " ".join([runtime, "sgd", *(mode if runtime == "torch" else ())])
        taken = memories[kind]
        rows.append(
            {
                "network": network,
                "batch": BENCHED[network].batch,
                "threads": threads,
                "kind": kind,
                "ms": 1e3 * statistics.median(measured),
                "of SGD": ratio(measured, seconds[sgd]) if sgd in seconds else None,
                "of PyTorch": ratio(measured, seconds[torch]) if torch else None,
                "state KB": taken.state / 1e3,
                "training MB": taken.training / 1e6,
                "of PyTorch's": taken.training / min(theirs) if theirs else None,
                "peak MB": taken.peak / 1e6,
            }
        )
    return rows


def _beside_pytorch(
    network: str, threads: int, seconds: Mapping[str, Sequence[float]]
) -> list[dict[str, Any]]:
    """A row for each optimizer that both have."""
    rows = []
    for ours, theirs in OPTIMIZERS.items():
        torch = _fastest(seconds, theirs)
        kinds = {"ort-training": f"ort {ours}", "onnx": f"onnx {ours}"}
        if torch is None or not kinds.values() & seconds.keys():
            continue
        measured = {target: seconds.get(kind) for target, kind in kinds.items()}
        row = {"network": network, "threads": threads, "optimizer": ours}
        for target, each in measured.items():
            row[f"{target}, ms"] = 1e3 * statistics.median(each) if each else None
        row["PyTorch, ms"] = 1e3 * statistics.median(seconds[torch])
        row["its mode"] = torch.removeprefix("torch ")
        for target, each in measured.items():
            row[f"{target} of it"] = ratio(each, seconds[torch]) if each else None
        rows.append(row)
    return rows


def _fastest(seconds: Mapping[str, Sequence[float]], optimizer: str) -> str | None:
    """PyTorch's kind of an optimizer with the least median; None if there is none."""
    kinds = [kind for kind in seconds if kind.startswith(f"torch {optimizer} ")]
    return min(kinds, key=lambda kind: statistics.median(seconds[kind]), default=None)


if __name__ == "__main__":
    main()
