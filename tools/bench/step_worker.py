"""A process that trains artifacts a turn at a time, for `tools.bench.targets` and `tools.bench.footprint`.

    python tools/bench/step_worker.py FOLDER THREADS SHAPE...

Needs svgd-onnx and an onnxruntime. For each line on standard input it trains for a turn and prints the
seconds of a step; at the end it prints its peak of resident memory, in bytes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

TURN_SECONDS = 0.3


def main() -> None:
    import svgd_onnx

    folder, threads, *shape = sys.argv[1:]
    image, labels = batch([int(size) for size in shape])
    trainer = svgd_onnx.Trainer(folder, threads=int(threads))
    serve(lambda: trainer.train_step({"image": image, "labels": labels}, 1e-4))


def batch(shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Noise of this shape, float32, and labels from 0 to 9, int64."""
    random = np.random.default_rng(0)
    return random.standard_normal(shape, np.float32), random.integers(0, 10, shape[0])


def peak() -> int:
    """The most memory that was ever resident, in bytes; not getrusage's, which begins with the parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return 1024 * int(kilobytes)


def serve(step: Callable[[], float], at_the_end: Callable[[], int] = peak) -> None:
    """Does steps as standard input asks for them."""

    def seconds(steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            step()
        return (time.perf_counter() - start) / steps

    seconds(3)
    steps = max(1, round(TURN_SECONDS / seconds(1)))
    print("ready", flush=True)
    for _ in sys.stdin:
        seconds(1)  # what the others left in the caches is not this one's cost
        print(seconds(steps), flush=True)
    print(at_the_end(), flush=True)


if __name__ == "__main__":
    main()
