"""A million training steps of a small model, for each target: what grows, and what does not.

    python -m tools.attack.soak [--steps 1000000] [--every 100000] [--targets onnx ort-training]

Prints, every so many steps, the steps a second since the last line, the memory that is resident and the
file descriptors and threads that are open. Ends with exit code 1 if memory grew by more than 1 MB from the
first to the last line, or if descriptors or threads did.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import svgd_onnx
from svgd_onnx.runtime import has_training
from tools.networks.builder import Network

INPUTS, HIDDEN, CLASSES, BATCH = 4, 8, 3, 4
MAY_GROW = 1.0  # MB: an allocator's arenas


@dataclass(frozen=True)
class Held:
    """What the process holds: MB of resident memory, open descriptors, threads."""

    resident: float
    descriptors: int
    threads: int

    @staticmethod
    def now() -> Held:
        """As the kernel counts it."""
        status = Path("/proc/self/status").read_text()
        lines = dict(line.split(":", 1) for line in status.splitlines())
        return Held(
            resident=int(lines["VmRSS"].split()[0]) / 1024,
            descriptors=len(list(Path("/proc/self/fd").iterdir())),
            threads=int(lines["Threads"]),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = ["onnx", *(["ort-training"] if has_training() else [])]
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--every", type=int, default=100_000)
    parser.add_argument("--targets", nargs="+", default=known, choices=known)
    arguments = parser.parse_args()
    grew = [name for name in arguments.targets if _soak(name, arguments.steps, arguments.every)]
    print(f"tally: {len(arguments.targets)} targets, {len(grew)} grew", flush=True)
    sys.exit(1 if grew else 0)


def _soak(target: str, steps: int, every: int) -> bool:
    """Trains; whether what the process holds grew."""
    network = Network(0)
    hidden = network.relu(network.dense("fc1", "image", INPUTS, HIDDEN))
    logits = network.dense("fc2", hidden, HIDDEN, CLASSES)
    model = network.model("soak", (INPUTS,), logits, CLASSES)
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        svgd_onnx.convert(model, Path(folder) / "artifacts", target=target)
        trainer = svgd_onnx.Trainer(Path(folder) / "artifacts", seed=0, threads=1)
        batches = [
            {
                "image": random.standard_normal((BATCH, INPUTS), np.float32),
                "labels": random.integers(0, CLASSES, BATCH),
            }
            for _ in range(64)
        ]
        first = last = None
        while trainer.step < steps:
            start = time.perf_counter()
            for _ in range(min(every, steps - trainer.step)):
                loss = trainer.train_step(batches[trainer.step % len(batches)], 0.01)
            trainer.save()
            rate = every / (time.perf_counter() - start)
            last = Held.now()
            first = first or last
            print(
                f"{target}: step {trainer.step:>8}  {rate:7.0f} steps/s  {last.resident:7.1f} MB  "
                f"{last.descriptors} descriptors  {last.threads} threads  loss {loss:.4f}",
                flush=True,
            )
    assert first is not None and last is not None
    return (
        last.resident - first.resident > MAY_GROW
        or last.descriptors > first.descriptors
        or last.threads > first.threads
    )


if __name__ == "__main__":
    main()
