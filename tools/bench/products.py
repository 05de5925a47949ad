"""TransposedProduct beside onnxruntime's own product of a transposed matrix, by the sizes of weights.

    python -m tools.bench.products [--threads N] [--turns N] [--output FILE.json]

A (depth, rows), transposed, times B (depth, columns): the gradient of a weight (rows, columns) over so many
rows of data; "batch" are as many at once. GFLOP/s by the least of all turns, which alternate, "of
onnxruntime's" is the ratio of times.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from tools.bench.one_node import one_node
from tools.bench.report import report

# batch, rows, depth, columns
SIZES = [
    (1, 768, 1024, 768),
    (1, 768, 1024, 3072),
    (1, 3072, 1024, 768),
    (1, 768, 128, 50257),
    (1, 256, 32, 784),
    (1, 256, 2048, 512),
    (1, 128, 2048, 512),
    (1, 128, 2048, 128),
    (96, 64, 128, 128),
    (96, 128, 128, 64),
    (128, 64, 64, 32),
]
OPERATIONS_OF_A_TURN = 2e9


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--output", type=Path, default=Path("build/bench/products.json"))
    arguments = parser.parse_args()
    rows = [_row(*sizes, arguments.threads, arguments.turns) for sizes in SIZES]
    report("Products of a transposed matrix", rows, arguments.output)


def _row(
    batch: int, rows: int, depth: int, columns: int, threads: int, turns: int
) -> dict[str, Any]:
    random = np.random.default_rng(0)
    leading = (batch,) if batch > 1 else ()
    arrays = [
        random.standard_normal((*leading, depth, last), np.float32) for last in (rows, columns)
    ]
    product = np.empty((*leading, rows, columns), np.float32)
    operations = 2.0 * batch * rows * depth * columns
    times = max(1, round(OPERATIONS_OF_A_TURN / operations))
    runs = {
        "ours": one_node("TransposedProduct", "ai.svgd", {}, arrays, [product], threads),
        "onnxruntime's": one_node(
            "FusedMatMul", "com.microsoft", {"transA": 1}, arrays, [product], threads
        ),
    }
    least = dict.fromkeys(runs, np.inf)
    for _ in range(turns):
        for kind, run in runs.items():
            run()
            start = time.perf_counter()
            for _ in range(times):
                run()
            least[kind] = min(least[kind], (time.perf_counter() - start) / times)
    return {
        "batch": batch,
        "rows": rows,
        "depth": depth,
        "columns": columns,
        **{f"{kind} GFLOP/s": operations / seconds / 1e9 for kind, seconds in least.items()},
        "of onnxruntime's": least["ours"] / least["onnxruntime's"],
    }


if __name__ == "__main__":
    main()
