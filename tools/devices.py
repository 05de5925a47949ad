"""Trains artifacts of the target onnx on several devices from the same start, and compares losses and times.

    python -m tools.devices FOLDER [DEVICE...] [--steps N] [--batch N] [--rate A] [--data FILE.npz]

In an environment with any onnxruntime and what `svgd-onnx[train]` needs besides; neither onnx nor a framework.
Devices are those of `svgd-onnx train --device`; all that this onnxruntime has where none is named. The
processor, with standard kernels, is what the others are held against: the largest difference of a loss,
relative to that of the processor; how many nodes of a step run where; and milliseconds a step, the median
after the first. The batch is made up, or the first examples of FILE.npz. FOLDER stays as it is.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import svgd_onnx
from svgd_onnx.records import Tensor
from svgd_onnx.runtime import inference_runtime, installed_packages
from svgd_onnx.targets.standard_onnx.providers import available
from svgd_onnx.training import data

OPEN_SIZE = 8  # of an axis that is open, but for the batch's


@dataclass(frozen=True)
class Training:
    """Losses of the steps, and milliseconds of each but the first; nodes of a step by provider."""

    losses: list[float]
    milliseconds: float
    nodes: Mapping[str, int]


def main() -> None:
    """Prints a row for each device."""
    parser = argparse.ArgumentParser(prog="python -m tools.devices")
    parser.add_argument("folder", type=Path)
    parser.add_argument("devices", nargs="*", metavar="DEVICE")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    devices = arguments.devices or [each.device for each in available(inference_runtime())]
    batch = _batch(svgd_onnx.Manifest.load(arguments.folder), arguments.batch, arguments.data)
    ((package, version),) = installed_packages().items()
    print(f"{arguments.folder.name}, batches of {arguments.batch}, {package} {version}\n")
    print("| device | largest difference of a loss | ms a step | nodes of a step |")
    print("| --- | ---: | ---: | --- |")
    expected = None
    for device in dict.fromkeys(["cpu", *devices]):
        try:
            found = _train(arguments.folder, device, batch, arguments.steps, arguments.rate)
        except svgd_onnx.UserError as error:
            print(f"| {device} | refused | | {error} |", flush=True)
            continue
        expected = expected or found
        difference = max(
            abs(loss - right) / max(abs(right), 1e-12)
            for loss, right in zip(found.losses, expected.losses)
        )
        nodes = ", ".join(f"{name} {count}" for name, count in found.nodes.items())
        print(
            f"| {device} | {difference:.1e} | {found.milliseconds:.2f} | {nodes or 'all'} |",
            flush=True,
        )
    if expected is not None:
        print(f"\nOn the processor the loss went from {expected.losses[0]:.6f} to", end=" ")
        print(f"{expected.losses[-1]:.6f}.")


def _train(folder: Path, device: str, batch: data.Arrays, steps: int, rate: float) -> Training:
    kernels = "standard" if device == "cpu" else "auto"
    trainer = svgd_onnx.Trainer(folder, device=device, kernels=kernels, seed=0)
    losses, times = [], []
    for _ in range(steps):
        before = time.perf_counter()
        losses.append(trainer.train_step(batch, rate))
        times.append(1e3 * (time.perf_counter() - before))
    nodes = {name: each.total() for name, each in trainer.nodes.items()}
    return Training(losses, statistics.median(times[1:]), nodes)


def _batch(manifest: svgd_onnx.Manifest, count: int, file: Path | None) -> dict[str, np.ndarray]:
    if file is None:
        random = np.random.default_rng(0)
        return {each.name: _made_up(each, count, random) for each in manifest.arrays}
    whole = data.load(file)
    return {
        each.name: np.asarray(whole[each.name])
        if each.batch_axis is None
        else np.take(whole[each.name], range(count), each.batch_axis)
        for each in manifest.arrays
    }


def _made_up(tensor: Tensor, count: int, random: np.random.Generator) -> np.ndarray:
    shape = [
        count if axis == tensor.batch_axis else size if isinstance(size, int) else OPEN_SIZE
        for axis, size in enumerate(tensor.shape)
    ]
    dtype = np.dtype(tensor.dtype)
    if dtype.kind == "f":
        return random.standard_normal(shape).astype(dtype)
    highest = 1 if tensor.highest is None else tensor.highest
    return random.integers(max(0, tensor.lowest or 0), highest + 1, shape).astype(dtype)


if __name__ == "__main__":
    main()
