"""Processes that train in turns: ours by any target, form and optimizer, and PyTorch's.

On one thread their seconds are of the processor's time, which other work on the machine lengthens little.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

import svgd_onnx
from svgd_onnx.manifest import Manifest
from tools.bench.networks import ALL
from tools.usual_models import memory

ORT_KINDS = {
    f"{short} {optimizer}": {"target": target, "optimizer": optimizer}
    for short, target in (("ort", "ort-training"), ("onnx", "onnx"))
    for optimizer in ("sgd", "svgd", "rmsprop", "adam")
} | {
    "ort svgd standard": {"target": "ort-training", "optimizer": "svgd"},
    "onnx svgd standard": {"target": "onnx", "optimizer": "svgd"},
    "ort svgd portable": {"target": "ort-training", "optimizer": "svgd", "t_kernel": "portable"},
    "ort svgd channel": {"target": "ort-training", "optimizer": "svgd", "granularity": "channel"},
}
# autograd functions, of which PyTorch's SVGD is made, are not compiled
TORCH_KINDS = [
    f"torch {optimizer} {mode}"
    for optimizer in ("sgd", "rmsprop", "adam", "svgd")
    for mode in ("eager", "channels_last", "compile")
    if (optimizer, mode) != ("svgd", "compile")
]
TURN_SECONDS = 0.15
_WARM_UP = 3


@dataclass(frozen=True)
class Job:
    """What a process trains.

    Attributes:
        network: one of `networks.ALL`.
        kind: one of `ORT_KINDS` or `TORCH_KINDS`.
        batch: examples a step.
        threads: within an operator.
        folder: of the artifacts; PyTorch has none.
    """

    network: str
    kind: str
    batch: int
    threads: int
    folder: str

    def convert(self) -> None:
        """Makes the artifacts, if it takes any."""
        if self.kind in ORT_KINDS:
            Path(self.folder).parent.mkdir(parents=True, exist_ok=True)
            ALL[self.network].convert(self.folder, self.batch, **ORT_KINDS[self.kind])


@dataclass(frozen=True)
class Memory:
    """Bytes that a process took.

    Attributes:
        state: what the optimizer keeps between steps.
        training: by how much the steps raised what was resident once all was loaded.
        peak: the most that was resident.
    """

    state: int
    training: int
    peak: int


class Process:
    """A process that trains one job after another, a turn at a time."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs,), daemon=True)
        self._process.start()

    def open(self, job: Job) -> None:
        """Returns when it is ready, so that no other trains beside its preparations."""
        self._ask(job)

    def turn(self) -> float:
        """Seconds of a step."""
        seconds = self._ask("train")
        assert isinstance(seconds, float)
        return seconds

    def memory(self) -> Memory:
        """What the job has taken so far."""
        memory = self._ask("memory")
        assert isinstance(memory, Memory)
        return memory

    def end(self) -> None:
        """Ends the process."""
        self._pipe.send(None)
        self._process.join()

    def _ask(self, message: object) -> object:
        self._pipe.send(message)
        return self._pipe.recv()


class Training(Protocol):
    """What trains for a turn when it is told to."""

    def turn(self) -> float:
        """Seconds of a step."""
        ...


def take_turns(processes: Iterable[Training], turns: int) -> list[list[float]]:
    """Seconds of a step of each process, in each turn.

    Every other turn goes backwards, so that none always comes behind the same one.
    """
    forwards = list(processes)
    rounds = []
    for turn in range(turns):
        if turn % 2:
            rounds.append([process.turn() for process in reversed(forwards)][::-1])
        else:
            rounds.append([process.turn() for process in forwards])
    return [list(seconds) for seconds in zip(*rounds)]


def ratio(measured: Sequence[float], other: Sequence[float]) -> float:
    """The median of the ratios within turns."""
    return statistics.median(a / b for a, b in zip(measured, other))


def _work(pipe: Connection) -> None:
    """Does what it is told to, and answers."""
    trained: _Trained | None = None
    while (message := pipe.recv()) is not None:
        if isinstance(message, Job):
            trained = None  # before there is another
            trained = _Trained(message)
            pipe.send("ready")
        else:
            assert trained is not None
            pipe.send(trained.turn() if message == "train" else trained.memory())


class _Trained:
    """A job in this process, warmed up."""

    def __init__(self, job: Job) -> None:
        self._clock = time.process_time if job.threads == 1 else time.perf_counter
        self._step, self._state = (_ort if job.kind in ORT_KINDS else _torch)(job)
        memory.forget_peak()
        self._before = memory.resident()
        for _ in range(_WARM_UP):
            self._step()
        self._steps = max(2, round(TURN_SECONDS / self._seconds(1)))

    def turn(self) -> float:
        self._step()  # what the others left in the caches is not this one's cost
        return self._seconds(self._steps)

    def memory(self) -> Memory:
        peak = memory.peak()
        return Memory(self._state, peak - self._before, peak)

    def _seconds(self, steps: int) -> float:
        start = self._clock()
        for _ in range(steps):
            self._step()
        return (self._clock() - start) / steps


def _ort(job: Job) -> tuple[Callable[[], float], int]:
    kernels = "standard" if job.kind.endswith("standard") else "auto"
    trainer = svgd_onnx.Trainer(job.folder, threads=job.threads, kernels=kernels)
    names = [tensor.name for tensor in Manifest.load(Path(job.folder)).arrays]
    batch = ALL[job.network].arrays(names, job.batch)
    states = svgd_onnx.inspect(job.folder).state_bytes
    return lambda: trainer.train_step(batch, 1e-4), states[ORT_KINDS[job.kind]["optimizer"]]


def _torch(job: Job) -> tuple[Callable[[], float], int]:
    import torch

    from tools.bench import pytorch_training

    torch.set_num_threads(job.threads)
    _, optimizer, mode = job.kind.split()
    benched = ALL[job.network]
    model = pytorch_training.NETWORKS[benched.torch or job.network](**benched.torch_options)
    step = pytorch_training.training_step(model, optimizer, mode, *benched.data(job.batch))
    size = sum(4 * parameter.numel() for parameter in model.parameters())
    return step, {"sgd": 0, "rmsprop": size, "adam": 2 * size, "svgd": 0}[optimizer]
