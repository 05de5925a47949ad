"""Convolution and its gradients, ai.svgd's operators, beside onnxruntime's own.

    python -m tools.bench.convolution [--networks resnet20 vgg resnet50] [--threads 1 2] [--turns 9]

GFLOP/s and milliseconds of each layer, and of a network's layers together, as often as it has them: ours is
channels last, onnxruntime's Conv and ConvGrad (of onnxruntime-training; without it only Conv is measured)
are channels first, as their training graphs have them. "gradients" are dX and dW, which ConvGrad gives
together. All run in onnxruntime sessions with inputs and outputs bound, in turns; times are medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from svgd_onnx.runtime import training_is_installed
from tools.bench.one_node import one_node
from tools.bench.report import report


@dataclass(frozen=True)
class Layer:
    """A convolution of square images and kernels, padded so that stride 1 keeps their size."""

    batch: int
    channels: int
    size: int
    kernel: int
    stride: int
    outputs: int
    times: int = 1  # in the network
    groups: int = 1

    @property
    def out(self) -> int:
        return (self.size + 2 * (self.kernel // 2) - self.kernel) // self.stride + 1

    @property
    def operations(self) -> float:
        sums = self.batch * self.out**2 * self.outputs
        return 2 * sums * self.channels // self.groups * self.kernel**2

    @property
    def attributes(self) -> dict[str, Any]:
        return {
            "kernel_shape": [self.kernel] * 2,
            "strides": [self.stride] * 2,
            "pads": [self.kernel // 2] * 4,
            "group": self.groups,
        }

    def __str__(self) -> str:
        form = f"{self.kernel}x{self.kernel}/{self.stride}"
        return f"{form} {self.channels}-{self.outputs} at {self.size}"


NETWORKS = {
    "resnet20": [
        Layer(128, 3, 32, 3, 1, 16),
        Layer(128, 16, 32, 3, 1, 16, 6),
        Layer(128, 16, 32, 3, 2, 32),
        Layer(128, 16, 32, 1, 2, 32),
        Layer(128, 32, 16, 3, 1, 32, 5),
        Layer(128, 32, 16, 3, 2, 64),
        Layer(128, 32, 16, 1, 2, 64),
        Layer(128, 64, 8, 3, 1, 64, 5),
    ],
    "vgg": [
        Layer(128, 3, 32, 3, 1, 64),
        Layer(128, 64, 16, 3, 1, 128),
        Layer(128, 128, 8, 3, 1, 256),
        Layer(128, 256, 8, 3, 1, 256),
        Layer(128, 256, 4, 3, 1, 512),
        Layer(128, 512, 4, 3, 1, 512),
        Layer(128, 512, 2, 3, 1, 512, 2),
    ],
    "resnet50": [
        Layer(8, 3, 224, 7, 2, 64),
        Layer(8, 64, 56, 1, 1, 64),
        Layer(8, 64, 56, 1, 1, 256, 4),
        Layer(8, 256, 56, 1, 1, 64, 2),
        Layer(8, 64, 56, 3, 1, 64, 3),
        Layer(8, 256, 56, 1, 1, 128),
        Layer(8, 128, 56, 3, 2, 128),
        Layer(8, 256, 56, 1, 2, 512),
        Layer(8, 128, 28, 1, 1, 512, 4),
        Layer(8, 512, 28, 1, 1, 128, 3),
        Layer(8, 128, 28, 3, 1, 128, 3),
        Layer(8, 512, 28, 1, 1, 256),
        Layer(8, 256, 28, 3, 2, 256),
        Layer(8, 512, 28, 1, 2, 1024),
        Layer(8, 256, 14, 1, 1, 1024, 6),
        Layer(8, 1024, 14, 1, 1, 256, 5),
        Layer(8, 256, 14, 3, 1, 256, 5),
        Layer(8, 1024, 14, 1, 1, 512),
        Layer(8, 512, 14, 3, 2, 512),
        Layer(8, 1024, 14, 1, 2, 2048),
        Layer(8, 512, 7, 1, 1, 2048, 3),
        Layer(8, 2048, 7, 1, 1, 512, 2),
        Layer(8, 512, 7, 3, 1, 512, 2),
    ],
    "depthwise": [
        Layer(32, 32, 56, 3, 1, 32, groups=32),
        Layer(32, 96, 56, 3, 2, 96, groups=96),
        Layer(32, 384, 14, 3, 1, 384, groups=384),
        Layer(32, 960, 7, 3, 1, 960, groups=960),
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--output", type=Path, default=Path("build/bench/convolution.json"))
    arguments = parser.parse_args()
    rows = []
    for threads in arguments.threads:
        for network in arguments.networks:
            rows += _network(network, threads, arguments.turns)
    report("Convolution beside onnxruntime's", rows, arguments.output)


def _network(network: str, threads: int, turns: int) -> list[dict[str, Any]]:
    rows = []
    total: dict[str, float] = {}
    operations = 0.0
    for layer in NETWORKS[network]:
        seconds = _seconds(layer, threads, turns)
        rows.append(_row(network, str(layer), threads, layer.operations, seconds))
        operations += layer.times * layer.operations
        for kind, each in seconds.items():
            total[kind] = total.get(kind, 0) + layer.times * each
    return [*rows, _row(network, "all", threads, operations, total)]


def _row(
    network: str, layer: str, threads: int, operations: float, seconds: dict[str, float]
) -> dict[str, Any]:
    row: dict[str, Any] = {"network": network, "layer": layer, "threads": threads}
    for kind, each in seconds.items():
        row[f"{kind} ms"] = 1e3 * each
    for kind in ("Y", "dX", "dW"):
        row[f"{kind} GFLOP/s"] = operations / seconds[kind] / 1e9
    row["Y, of Conv"] = seconds["Y"] / seconds["Conv"]
    if "ConvGrad" in seconds:
        row["gradients, of ConvGrad"] = (seconds["dX"] + seconds["dW"]) / seconds["ConvGrad"]
    return row


def _seconds(layer: Layer, threads: int, turns: int) -> dict[str, float]:
    """Medians of the kinds, run in turns."""
    kinds = _kinds(layer, threads)
    measured: dict[str, list[float]] = {kind: [] for kind in kinds}
    for run in kinds.values():
        run()
    for _ in range(turns):
        for kind, run in kinds.items():
            before = time.perf_counter()
            run()
            measured[kind].append(time.perf_counter() - before)
    return {kind: statistics.median(each) for kind, each in measured.items()}


def _kinds(layer: Layer, threads: int) -> dict[str, Callable[[], None]]:
    x, y, w = _arrays(layer)
    first_x, first_y = (np.ascontiguousarray(np.moveaxis(each, -1, 1)) for each in (x, y))
    shape = np.array(x.shape, np.int64)

    def kind(
        operator: str, domain: str, inputs: list[np.ndarray], *outs: np.ndarray
    ) -> Callable[[], None]:
        return one_node(operator, domain, layer.attributes, inputs, list(outs), threads)

    # dX and dW of either kind have arrays of their own.
    kinds = {
        "Y": kind("Convolution", "ai.svgd", [x, w], np.empty_like(y)),
        "dX": kind("ConvolutionInputGradient", "ai.svgd", [y, w, shape], np.empty_like(x)),
        "dW": kind("ConvolutionWeightGradient", "ai.svgd", [y, x], np.empty_like(w)),
        "Conv": kind("Conv", "", [first_x, w], np.empty_like(first_y)),
    }
    if training_is_installed():
        gradients = np.empty_like(first_x), np.empty_like(w)
        inputs = [first_y, first_x, w]
        kinds["ConvGrad"] = kind("ConvGrad", "com.microsoft", inputs, *gradients)
    return kinds


def _arrays(layer: Layer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """X and dY, channels last, and W."""
    random = np.random.default_rng(0)
    shapes = (
        (layer.batch, layer.size, layer.size, layer.channels),
        (layer.batch, layer.out, layer.out, layer.outputs),
        (layer.outputs, layer.channels // layer.groups, layer.kernel, layer.kernel),
    )
    x, y, w = (random.standard_normal(shape, np.float32) for shape in shapes)
    return x, y, w


if __name__ == "__main__":
    main()
