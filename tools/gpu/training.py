"""Trains prepared artifacts of the target onnx on a GPU: losses beside the processor's, and the time of a step.

    python tools/gpu/training.py FOLDER [--device cuda] [--network paper_resnet20] [--batch 128]

FOLDER is what `tools.runtimes.prepare` writes. Needs svgd-onnx with onnxruntime-gpu; PyTorch, if it is there,
trains the same network on the same device. Exits with 1 if losses differ, or if an operator ran elsewhere that
writes more than shapes and single numbers.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

from svgd_onnx.errors import UserError
from svgd_onnx.manifest import Manifest
from svgd_onnx.targets.standard_onnx.session import InferenceTrainingSession
from svgd_onnx.training.data import check
from tools.bench.step_worker import batch

PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}
PROFILED_STEPS = 3
# Shapes, axes and the learning rate are at home on the processor.
SMALL = 1024
WARM_UP = 10
TIMED_STEPS = 30
RATE = 1e-4
# Convolutions of recent GPUs round to TF32.
TOLERANCE = 1e-2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", choices=PROVIDERS, default="cuda")
    parser.add_argument("--network", default="paper_resnet20")
    parser.add_argument("--batch", type=int, default=128)
    arguments = parser.parse_args()
    folder, device = arguments.folder / arguments.network, arguments.device
    print(f"{arguments.network}, onnxruntime {onnxruntime.__version__} on {device}")
    elsewhere = _elsewhere(folder, device)
    difference = _difference(folder, device)
    right = not elsewhere and difference <= TOLERANCE
    manifest = Manifest.load(folder / "artifacts")
    images, labels = batch((arguments.batch, *manifest.inputs[0].shape[1:]))  # type: ignore[arg-type]
    session = InferenceTrainingSession(folder / "artifacts", manifest, device=device)
    ours = _milliseconds(lambda: session.train_step((images, labels), RATE))
    print(f"a step, batch of {arguments.batch}: {ours:.2f} ms")
    _beside_pytorch(arguments.network, device, images, labels, ours)
    print("ok" if right else "WRONG")
    return 0 if right else 1


def _elsewhere(folder: Path, device: str) -> int:
    """How many operators that write more than `SMALL` bytes ran on another device; prints them."""
    with tempfile.TemporaryDirectory() as temporary:
        session = _session(folder, device, Path(temporary) / "profile")
        arrays = _arrays(folder)
        for _ in range(PROFILED_STEPS):
            session.train_step(arrays, RATE)
        events = json.loads(session.end_profile().read_text())
    calls: dict[str, int] = defaultdict(int)
    copies, large, small = 0, {}, {}
    for event in events:
        if not event["name"].endswith("_kernel_time"):
            continue
        facts = event["args"]
        calls[facts["provider"]] += 1
        copies += facts["op_name"].startswith("Memcpy")
        if facts["provider"] != PROVIDERS[device]:
            node = event["name"].replace("_kernel_time", "")
            found = large if int(facts["output_size"]) > SMALL else small
            found[node] = facts["op_name"]
    for provider, count in calls.items():
        print(f"{provider}: {count // PROFILED_STEPS} operators a step")
    print(f"copies between devices: {copies // PROFILED_STEPS} a step")
    kinds = ", ".join(sorted(set(small.values())))
    print(f"elsewhere, of at most {SMALL} bytes: {len(small)} ({kinds})")
    print(f"elsewhere, of more: {len(large)}")
    for node, operator in large.items():
        print(f"    {operator}: {node}")
    # At least one has run where it should.
    return len(large) if calls[PROVIDERS[device]] else sum(calls.values())


def _difference(folder: Path, device: str) -> float:
    """The largest relative difference of losses from the training session's on a processor; prints it."""
    expected = json.loads((folder / "expected.json").read_text())
    session, arrays = _session(folder, device), _arrays(folder)
    losses = [session.train_step(arrays, expected["learning_rate"]) for _ in expected["losses"]]
    difference = float(np.abs(np.array(losses) / np.array(expected["losses"]) - 1).max())
    print(
        f"{len(losses)} losses, {losses[0]:.5f} to {losses[-1]:.5f}: within {difference:.1e} of the processor's"
    )
    return difference


def _beside_pytorch(
    network: str, device: str, images: np.ndarray, labels: np.ndarray, ours: float
) -> None:
    if not importlib.util.find_spec("torch"):
        print("PyTorch is not installed here.")
        return
    from tools.bench.pytorch_training import NETWORKS, training_step

    for optimizer in ("sgd", "adam", "svgd"):
        theirs = _milliseconds(
            training_step(NETWORKS[network](), optimizer, "eager", images, labels, device=device)
        )
        print(f"PyTorch, {optimizer}: {theirs:.2f} ms; ours is {ours / theirs:.2f} of it")


def _session(folder: Path, device: str, profile: Path | None = None) -> InferenceTrainingSession:
    artifacts = folder / "artifacts"
    return InferenceTrainingSession(
        artifacts, Manifest.load(artifacts), device=device, profile=profile
    )


def _arrays(folder: Path) -> tuple[np.ndarray, ...]:
    examples = check(dict(np.load(folder / "batch.npz")), Manifest.load(folder / "artifacts"))
    return tuple(examples.take(slice(None)))


def _milliseconds(step: Callable[[], float]) -> float:
    """The median; a step ends when its loss is known."""
    for _ in range(WARM_UP):
        step()
    times = []
    for _ in range(TIMED_STEPS):
        start = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
