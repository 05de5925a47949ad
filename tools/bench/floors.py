"""A step by kind of operator: on standard kernels, on fast ones, and the least that the machine allows.

    python -m tools.bench.floors [--networks ...] [--threads N] [--output FILE.json]

Of the target onnx, by onnxruntime's profiler; each time is the least over steps. A node counts for the
operator of the model that it is, or is a gradient of. "floor" is, of each node of the fast step, its
multiplications and additions over the rate of a large product of matrices, or the bytes that it reads and
writes over the rate of a large copy, whichever is more; both rates are the best of those measured between
the networks' steps. What lies in the cache may be faster than that. "between" is what no node accounts for, and
reorders are transpositions.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from svgd_onnx.manifest import Manifest
from svgd_onnx.targets.kernels import FAST, STANDARD
from svgd_onnx.targets.standard_onnx.file_names import FAST_STEP, TRAINING_STEP
from svgd_onnx.targets.standard_onnx.session import InferenceTrainingSession
from tools.bench.attention import ATTENTION
from tools.bench.networks import BENCHED
from tools.bench.one_node import one_node
from tools.bench.operator_kinds import OTHERS, kind_of, kinds_of_nodes
from tools.bench.report import report
from tools.bench.virtual_gradient import copying

STEPS, WARM_UP = 12, 2
# They move nothing, or next to nothing.
VIEWS = {"Reshape", "Shape", "Squeeze", "Unsqueeze", "Flatten", "Identity"}
PRODUCTS = {"MatMul", "Gemm", "FusedMatMul", "FusedGemm", "MatrixProduct"}
# Kinds that take less of either step are one.
LEAST_SHARE = 0.005
_KERNEL = "_kernel_time"
_WIDTHS = {"float": 4, "int64": 8, "int32": 4, "bool": 1, "uint8": 1, "double": 8}
# Rows and columns of the product; bytes of the copy, more than any cache holds.
MEASURED_PRODUCT, MEASURED_COPY = 1024, 128 << 20


@dataclass(frozen=True)
class Ran:
    """What a node did.

    Attributes:
        seconds: of a step.
        operations: multiplications and additions.
        bytes: read and written.
        operator: of the node.
        kind: what it counts for.
    """

    seconds: float
    operations: float
    bytes: float
    operator: str
    kind: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    usual = ["paper_resnet20", "paper_vgg", "bert_4_layers"]
    parser.add_argument("--networks", nargs="+", default=usual, choices=BENCHED)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("build/bench/floors.json"))
    given = parser.parse_args()
    measured = {network: _steps(network, given.threads) for network in given.networks}
    products, copies = map(max, zip(*(each.rates for each in measured.values())))
    print(f"{products / 1e9:.0f} GFLOP/s, {copies / 1e9:.1f} GB/s")
    rows = [
        row
        for network, steps in measured.items()
        for row in _rows(
            network, steps, lambda node: max(node.operations / products, node.bytes / copies)
        )
    ]
    report("A step of the target onnx, by operator", rows, given.output)


@dataclass(frozen=True)
class Steps:
    """What both forms of a step took.

    Attributes:
        standard: the nodes on standard kernels, and seconds of the step.
        fast: those on ours.
        rates: operations of a product and bytes of a copy, a second.
    """

    standard: tuple[list[Ran], float]
    fast: tuple[list[Ran], float]
    rates: tuple[float, float]


def _steps(network: str, threads: int) -> Steps:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "artifacts"
        BENCHED[network].convert(folder, BENCHED[network].batch, target="onnx")
        standard = _profile(network, folder, STANDARD, threads)
        rates = _rates(threads)
        return Steps(standard, _profile(network, folder, FAST, threads), rates)


def _rows(network: str, steps: Steps, floor: Callable[[Ran], float]) -> list[dict[str, Any]]:
    (standard, whole_standard), (fast, whole_fast) = steps.standard, steps.fast

    def row(kind: str, before: float, after: float, least: float | None) -> dict[str, Any]:
        return {
            "network": network,
            "kind": kind,
            "standard, ms": 1e3 * before,
            "fast, ms": 1e3 * after,
            "floor, ms": None if least is None else 1e3 * least,
            "fast of floor": after / least if least else None,
        }

    def seconds(nodes: Sequence[Ran], kind: str) -> float:
        return sum(node.seconds for node in nodes if node.kind == kind)

    kinds = dict.fromkeys(node.kind for node in (*fast, *standard))
    table = {
        kind: [
            seconds(standard, kind),
            seconds(fast, kind),
            sum(floor(node) for node in fast if node.kind == kind),
        ]
        for kind in kinds
    }
    for kind, (before, after, _) in list(table.items()):
        if max(before / whole_standard, after / whole_fast) < LEAST_SHARE and kind != OTHERS:
            table[OTHERS] = [sum(pair) for pair in zip(table[OTHERS], table.pop(kind))]
    rows = [row(kind, *each) for kind, each in sorted(table.items(), key=lambda item: -item[1][1])]
    of_nodes = [sum(node.seconds for node in nodes) for nodes in (standard, fast)]
    rows.append(row("between", whole_standard - of_nodes[0], whole_fast - of_nodes[1], None))
    rows.append(row("the step", whole_standard, whole_fast, sum(floor(node) for node in fast)))
    reorders = [
        [node for node in nodes if node.operator == "Transpose"] for nodes in (standard, fast)
    ]
    moved = [sum(node.seconds for node in each) for each in reorders]
    rows.append(row(f"in it {len(reorders[0])}, {len(reorders[1])} reorders", *moved, None))
    return rows


def _profile(network: str, folder: Path, kernels: str, threads: int) -> tuple[list[Ran], float]:
    """What each node did, and the seconds of a step."""
    manifest = Manifest.load(folder)
    names = [tensor.name for tensor in manifest.arrays]
    arrays = list(BENCHED[network].arrays(names, BENCHED[network].batch).values())
    session = InferenceTrainingSession(
        folder, manifest, threads, "cpu", folder.with_name(kernels), kernels=kernels
    )
    for _ in range(WARM_UP + STEPS):
        session.train_step(arrays, 1e-4)
    events = json.loads(Path(session.end_profile()).read_text())
    whole = [event for event in events if event["name"] == "model_run"][WARM_UP:]
    kinds = kinds_of_nodes(folder, manifest, FAST_STEP if kernels == FAST else TRAINING_STEP)
    of_nodes: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        if event["name"].endswith(_KERNEL) and event["ts"] >= whole[0]["ts"]:
            of_nodes[event["name"].removesuffix(_KERNEL)].append(event)
    nodes = [_ran(name, each, kinds) for name, each in of_nodes.items()]
    return nodes, min(event["dur"] for event in whole) / 1e6


def _ran(name: str, events: Sequence[dict[str, Any]], kinds: Mapping[str, str]) -> Ran:
    facts = events[0]["args"]
    inputs, outputs = (
        [next(iter(each.items())) for each in facts[f"{way}_type_shape"] if each]
        for way in ("input", "output")
    )
    operator = facts["op_name"]
    moved = sum(_WIDTHS[width] * prod(shape) for width, shape in (*inputs, *outputs))
    return Ran(
        min(event["dur"] for event in events) / 1e6,
        _operations(operator, [shape for _, shape in inputs], [shape for _, shape in outputs]),
        0 if operator in VIEWS else moved,
        operator,
        kind_of(name, operator, kinds),
    )


def _operations(operator: str, inputs: list[list[int]], outputs: list[list[int]]) -> float:
    """Those of products; all else is bound by memory."""
    if operator in ("Convolution", "ConvolutionInputGradient"):
        of_y = outputs[0] if operator == "Convolution" else inputs[0]
        return 2.0 * prod(of_y) * prod(inputs[1][1:])
    if operator == "ConvolutionWeightGradient":
        return 2.0 * prod(inputs[0]) * prod(outputs[0][1:])
    if operator == ATTENTION:
        q, k, _ = inputs[:3]
        return 2.0 * (prod(q) + prod(outputs[0])) * k[-1]
    if operator == f"{ATTENTION}Gradient":
        d_out, q, k = inputs[:3]
        return 2.0 * (3 * prod(q) + 2 * prod(d_out)) * k[-1]
    if operator in PRODUCTS:
        (a, b), y = inputs[:2], outputs[0]
        batch = prod(y[:-2]) if len(b) > 2 else 1
        return 2.0 * prod(y) * (prod(a) * prod(b) / prod(y) / batch) ** 0.5
    return 0.0


def _rates(threads: int) -> tuple[float, float]:
    """Operations and bytes a second, the best that a product and a copy reach."""
    sizes = (MEASURED_PRODUCT, MEASURED_PRODUCT)
    a, b, y = (np.ones(sizes, np.float32) for _ in range(3))
    product = one_node("MatMul", "", {}, [a, b], [y], threads)
    source, target = (np.ones(MEASURED_COPY // 4, np.float32) for _ in range(2))
    with ThreadPoolExecutor(threads) as pool:
        copied = copying(source, target, threads, pool)
        return 2.0 * MEASURED_PRODUCT**3 / _least(product), 2.0 * MEASURED_COPY / _least(copied)


def _least(run: Callable[[], None]) -> float:
    seconds = []
    for _ in range(30):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
