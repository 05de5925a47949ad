"""A process that trains artifacts a turn at a time, for `tools.bench.targets`.

    python tools/bench/step_worker.py FOLDER THREADS SHAPE...

Needs svgd-onnx and an onnxruntime. For each line on standard input it trains for a turn and prints the
seconds of a step; at the end it prints its peak of resident memory, in bytes.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np

import svgd_onnx

TURN_SECONDS = 0.3


def main() -> None:
    folder, threads, *shape = sys.argv[1:]
    sizes = [int(size) for size in shape]
    random = np.random.default_rng(0)
    batch = {
        "image": random.standard_normal(sizes, np.float32),
        "labels": random.integers(0, 10, sizes[0]),
    }
    trainer = svgd_onnx.Trainer(folder, threads=int(threads))

    def seconds(steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            trainer.train_step(batch, 1e-4)
        return (time.perf_counter() - start) / steps

    seconds(3)
    steps = max(1, round(TURN_SECONDS / seconds(1)))
    print("ready", flush=True)
    for _ in sys.stdin:
        seconds(1)  # what the others left in the caches is not this one's cost
        print(seconds(steps), flush=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, flush=True)


if __name__ == "__main__":
    main()
