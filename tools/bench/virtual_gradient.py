"""T alone, beside a copy of the same tensor and beside an operator that does nothing.

    python -m tools.bench.virtual_gradient [--threads 1 2] [--output FILE.json]

T has to read dY and r, and to write T(dY) and r: GB/s are of these bytes, beside those that a copy of dY
reads and writes on as many threads. All run in turns, small tensors many times a turn; a share is the median
of the ratios within turns. "in place" is T overwriting dY, as training graphs let it; "apart" writes
elsewhere. T runs in an onnxruntime session with
inputs and outputs bound, so its time holds the session's own overhead; the copy is `numpy.copyto`, cut into
a piece for each thread.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

import svgd_onnx
from tools.bench.report import report

# (shape of dY, axis of channels or None for an r for each element)
SHAPES: list[tuple[tuple[int, ...], int | None]] = [
    ((32, 10), None),
    ((32, 1024), None),
    ((128, 10), None),
    ((128, 512), None),
    ((128, 64, 8, 8), None),
    ((16, 128, 768), None),
    ((128, 32, 16, 16), None),
    ((128, 16, 32, 32), None),
    ((1, 4_000_000), None),
    ((200_000, 10), None),
    ((8192, 1000), None),
    ((128, 128, 32, 32), None),
    ((128, 64, 112, 112), None),
    ((128, 64, 8, 8), 1),
    ((16, 128, 768), 2),
    ((128, 16, 32, 32), 1),
    ((128, 128, 32, 32), 1),
    ((128, 64, 112, 112), 1),
]
MEASURED_SECONDS = 0.4  # of each kind, for each shape
MIN_ROUNDS = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--output", type=Path, default=Path("build/bench/virtual_gradient.json"))
    parser.add_argument("--smallest", action="store_true", help="only the shapes below 1 MB")
    arguments = parser.parse_args()
    shapes = [
        (shape, axis)
        for shape, axis in SHAPES
        if not arguments.smallest or np.prod(shape) * 4 < 1 << 20
    ]
    rows = [row for threads in arguments.threads for row in _rows(shapes, threads)]
    report("T beside a copy of the same tensor", rows, arguments.output)


def _rows(shapes: list[tuple[tuple[int, ...], int | None]], threads: int) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(threads) as pool:
        return [_row(shape, axis, threads, pool) for shape, axis in shapes]


def _row(
    shape: tuple[int, ...], axis: int | None, threads: int, pool: ThreadPoolExecutor
) -> dict[str, Any]:
    random = np.random.default_rng(0)
    dy = random.standard_normal(shape, np.float32)
    r = np.ones(shape[1:] if axis is None else (shape[axis],), np.float32)
    other = np.empty_like(dy)
    repeats = int(np.clip(4e6 // dy.nbytes, 1, 300))
    moved = 2 * (dy.nbytes + r.nbytes)
    seconds = _in_turns(
        {
            "copy": copying(dy, other, threads, pool),
            "in place": _session(_virtual_gradient(axis), dy, dy, r, threads),
            "apart": _session(_virtual_gradient(axis), dy, other, r, threads),
            "nothing": _session(_nothing(), dy, dy, r, threads),
        },
        repeats,
    )
    copy = 2 * dy.nbytes

    def share(kind: str) -> float:
        turns = zip(seconds["copy"], seconds[kind])
        return statistics.median(moved / copy * of_copy / of_kind for of_copy, of_kind in turns)

    median = {kind: statistics.median(values) for kind, values in seconds.items()}
    return {
        "dY": str(shape),
        "r": "element" if axis is None else "channel",
        "MB": dy.nbytes / 1e6,
        "threads": threads,
        "copy GB/s": copy / median["copy"] / 1e9,
        "T in place GB/s": moved / median["in place"] / 1e9,
        "share": share("in place"),
        "T apart GB/s": moved / median["apart"] / 1e9,
        "share apart": share("apart"),
        "µs above nothing": 1e6 * (median["in place"] - median["nothing"]),
    }


def _in_turns(kinds: dict[str, Callable[[], None]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each kind in each turn, all run so many times a turn."""
    measured: dict[str, list[float]] = {kind: [] for kind in kinds}
    for run in kinds.values():
        run()
    start = time.perf_counter()
    while (
        time.perf_counter() - start < MEASURED_SECONDS * len(kinds)
        or len(measured["copy"]) < MIN_ROUNDS
    ):
        for kind, run in kinds.items():
            # What the kind before left in the caches is not this one's cost.
            run()
            before = time.perf_counter()
            for _ in range(repeats):
                run()
            measured[kind].append((time.perf_counter() - before) / repeats)
    return measured


def copying(
    source: np.ndarray, target: np.ndarray, threads: int, pool: ThreadPoolExecutor
) -> Callable[[], None]:
    pieces = list(
        zip(np.array_split(source.ravel(), threads), np.array_split(target.ravel(), threads))
    )

    def run() -> None:
        others = [pool.submit(np.copyto, target, source) for source, target in pieces[1:]]
        np.copyto(pieces[0][1], pieces[0][0])
        wait(others)

    return run


def _session(
    nodes: list[Any], dy: np.ndarray, out: np.ndarray, r: np.ndarray, threads: int
) -> Callable[[], None]:
    """Runs the nodes from `dy` and `r` into `out` and `r`, which may be the arrays they read."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.register_custom_ops_library(str(svgd_onnx.custom_op_library()))
    infos = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in ("dy", "r", "out", "r_new")
    }
    graph = helper.make_graph(nodes, "t", [infos["dy"], infos["r"]], [infos["out"], infos["r_new"]])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.svgd", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    binding = session.io_binding()
    for name, array, bind in (
        ("dy", dy, binding.bind_input),
        ("r", r, binding.bind_input),
        ("out", out, binding.bind_output),
        ("r_new", r, binding.bind_output),
    ):
        bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
    return lambda: session.run_with_iobinding(binding)


def _virtual_gradient(axis: int | None) -> list[Any]:
    attributes = {} if axis is None else {"channel_axis": axis}
    return [
        helper.make_node(
            "VirtualGradient", ["dy", "r"], ["out", "r_new"], domain="ai.svgd", **attributes
        )
    ]


def _nothing() -> list[Any]:
    """Identity onto the memory it reads."""
    return [
        helper.make_node("Identity", ["dy"], ["out"]),
        helper.make_node("Identity", ["r"], ["r_new"]),
    ]


if __name__ == "__main__":
    main()
