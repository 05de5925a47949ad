"""A whole training step: onnxruntime with each optimizer, and PyTorch where it is installed.

    python -m tools.bench.training_step [--networks ...] [--kinds ...] [--threads N] [--output FILE.json]
    python -m tools.bench.training_step --scaling [--networks ...]

Each kind has a process of its own, which waits while the others run; they train in turns, a few steps a
turn. "standard" is the form of a step without our own kernels. "ms" is the median over turns; "of SGD" and
"of the fastest" are medians of ratios within a turn. "state" is what the optimizer keeps beside the
parameters, "peak" the most memory that was resident while it trained, "training" how much of that the
steps added. `--scaling` trains with growing batches and with one and two threads instead.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import svgd_onnx
from svgd_onnx.manifest import Manifest
from tools.bench.networks import BENCHED
from tools.bench.report import report
from tools.usual_models import memory

ORT_KINDS = {
    "ort sgd": {"optimizer": "sgd"},
    "ort svgd": {"optimizer": "svgd"},
    "ort svgd standard": {"optimizer": "svgd"},
    "onnx svgd": {"optimizer": "svgd", "target": "onnx"},
    "onnx svgd standard": {"optimizer": "svgd", "target": "onnx"},
    "onnx sgd": {"optimizer": "sgd", "target": "onnx"},
    "onnx rmsprop": {"optimizer": "rmsprop", "target": "onnx"},
    "onnx adamw": {"optimizer": "adamw", "target": "onnx"},
    "ort svgd portable": {"optimizer": "svgd", "t_kernel": "portable"},
    "ort svgd channel": {"optimizer": "svgd", "granularity": "channel"},
    "ort rmsprop": {"optimizer": "rmsprop"},
    "ort adamw": {"optimizer": "adamw"},
}
TORCH_OPTIMIZERS = ("sgd", "rmsprop", "adam", "svgd")
TORCH_MODES = ("eager", "channels_last", "compile")
TURN_SECONDS = 0.15


@dataclass(frozen=True)
class Job:
    """What one process trains."""

    network: str
    kind: str
    batch: int
    threads: int
    folder: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = available_kinds()
    parser.add_argument("--networks", nargs="+", default=list(BENCHED), choices=BENCHED)
    parser.add_argument("--kinds", nargs="+", default=kinds, choices=kinds)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=11)
    parser.add_argument("--scaling", action="store_true")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    if arguments.scaling:
        _scaling(arguments.networks, arguments.turns, arguments.output)
        return
    rows = []
    for network in arguments.networks:
        batch = BENCHED[network].batch
        settings = [(kind, batch, arguments.threads) for kind in arguments.kinds]
        rows += _measure(network, settings, arguments.turns)
    output = arguments.output or Path("build/bench/training_step.json")
    report("Training steps, in turns", rows, output)


def available_kinds() -> list[str]:
    """All that this environment can train with."""
    kinds = list(ORT_KINDS)
    if importlib.util.find_spec("torch"):
        kinds += [
            f"torch {optimizer} {mode}"
            for optimizer in TORCH_OPTIMIZERS
            for mode in TORCH_MODES
            if (optimizer, mode) != ("svgd", "compile")  # its autograd functions are not compiled
        ]
    return kinds


def _scaling(networks: Sequence[str], turns: int, output: Path | None) -> None:
    rows = []
    for network in networks:
        for threads in (1, 2):
            for factor in (0.25, 1, 4):
                batch = int(BENCHED[network].batch * factor)
                settings = [(kind, batch, threads) for kind in ("ort sgd", "ort svgd")]
                sgd, svgd = _measure(network, settings, turns)
                rows.append(
                    {
                        "network": network,
                        "threads": threads,
                        "batch": batch,
                        "SGD ms": sgd["ms"],
                        "SVGD ms": svgd["ms"],
                        "SVGD of SGD": svgd["of SGD"],
                    }
                )
    title = "The step by batch and by threads"
    report(title, rows, output or Path("build/bench/training_step_scaling.json"))


def _measure(
    network: str, settings: Sequence[tuple[str, int, int]], turns: int
) -> list[dict[str, Any]]:
    """A row for each kind, batch and number of threads."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        workers = []
        for number, (kind, batch, threads) in enumerate(settings):
            path = str(Path(folder) / str(number))
            if kind in ORT_KINDS:
                BENCHED[network].convert(path, batch, **ORT_KINDS[kind])
            ours, theirs = context.Pipe()
            job = Job(network, kind, batch, threads, path)
            process = context.Process(target=_work, args=(job, theirs), daemon=True)
            process.start()
            workers.append((process, ours))
            ours.recv()  # it is ready: the others do not start beside it
        pipes = [pipe for _, pipe in workers]
        seconds: list[list[float]] = [[] for _ in workers]
        for _ in range(turns):
            for pipe, measured in zip(pipes, seconds):
                pipe.send("train")
                measured.append(pipe.recv())
        memories = []
        for process, pipe in workers:
            pipe.send("stop")
            memories.append(pipe.recv())
            process.join()
    kinds = [kind for kind, _, _ in settings]
    sgd = seconds[kinds.index("ort sgd")] if "ort sgd" in kinds else seconds[0]
    fastest = min(seconds, key=statistics.median)
    return [
        {
            "network": network,
            "batch": batch,
            "kind": kind,
            "ms": 1e3 * statistics.median(measured),
            "of SGD": _ratio(measured, sgd),
            "of the fastest": _ratio(measured, fastest),
            **memory,
        }
        for (kind, batch, _), measured, memory in zip(settings, seconds, memories)
    ]


def _ratio(measured: Sequence[float], other: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(measured, other))


def _work(job: Job, pipe: Connection) -> None:
    """Trains when it is told to."""
    step, state = (_ort if job.kind in ORT_KINDS else _torch)(job)
    memory.forget_peak()
    before = memory.resident()
    for _ in range(5):
        step()
    start = time.perf_counter()
    step()
    steps = max(1, round(TURN_SECONDS / (time.perf_counter() - start)))
    pipe.send("ready")
    while pipe.recv() == "train":
        step()  # what the others left in the caches is not this one's cost
        start = time.perf_counter()
        for _ in range(steps):
            step()
        pipe.send((time.perf_counter() - start) / steps)
    peak = memory.peak()
    pipe.send(
        {"state KB": state / 1e3, "peak MB": peak / 1e6, "training MB": (peak - before) / 1e6}
    )


def _ort(job: Job) -> tuple[Callable[[], float], int]:
    kernels = "standard" if job.kind.endswith("standard") else "auto"
    trainer = svgd_onnx.Trainer(job.folder, threads=job.threads, kernels=kernels)
    names = [tensor.name for tensor in Manifest.load(Path(job.folder)).arrays]
    batch = BENCHED[job.network].arrays(names, job.batch)
    states = svgd_onnx.inspect(job.folder).state_bytes
    optimizer = str(ORT_KINDS[job.kind]["optimizer"])
    return lambda: trainer.train_step(batch, 1e-4), states[optimizer]


def _torch(job: Job) -> tuple[Callable[[], float], int]:
    import torch

    from tools.bench import pytorch_training

    torch.set_num_threads(job.threads)
    _, optimizer, mode = job.kind.split()
    data = BENCHED[job.network].data(job.batch)
    model = pytorch_training.NETWORKS[job.network]()
    step = pytorch_training.training_step(model, optimizer, mode, *data)
    size = sum(4 * parameter.numel() for parameter in model.parameters())
    return step, {"sgd": 0, "rmsprop": size, "adam": 2 * size, "svgd": 0}[optimizer]


if __name__ == "__main__":
    main()
