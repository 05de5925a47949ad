"""MatrixProduct beside onnxruntime's own product, by the sizes of weights and by which factor is transposed.

    python -m tools.bench.products [--threads N] [--turns N] [--output FILE.json]

A (rows, depth) times B (depth, columns); "batch" are as many at once. A' B, with A transposed, is the gradient
of a weight over `depth` rows of data; A B is a layer, and A B', with B transposed, the gradient of what it
read. GFLOP/s by the least of all turns, which alternate, "of onnxruntime's" is the ratio of times.
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
WEIGHTS = [
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
LAYERS = [
    (1, 1024, 768, 768),
    (1, 1024, 768, 3072),
    (1, 1024, 3072, 768),
    (1, 512, 768, 768),
    (1, 512, 512, 512),
    (1, 128, 768, 2304),
    (1, 128, 3072, 768),
    (1, 2048, 128, 128),
    (1, 2048, 256, 256),
]
# Whether A is transposed, and whether B is.
FORMS = {"A' B": (1, 0), "A B": (0, 0), "A B'": (0, 1)}
CASES = [("A' B", sizes) for sizes in WEIGHTS] + [
    (form, sizes) for sizes in LAYERS for form in ("A B", "A B'")
]
OPERATIONS_OF_A_TURN = 2e9


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--output", type=Path, default=Path("build/bench/products.json"))
    arguments = parser.parse_args()
    rows = [_row(form, *sizes, arguments.threads, arguments.turns) for form, sizes in CASES]
    report("Products of matrices", rows, arguments.output)


def _row(
    form: str, batch: int, rows: int, depth: int, columns: int, threads: int, turns: int
) -> dict[str, Any]:
    random = np.random.default_rng(0)
    leading = (batch,) if batch > 1 else ()
    transposed = FORMS[form]
    shapes = [
        axes[::-1] if turned else axes
        for axes, turned in zip([(rows, depth), (depth, columns)], transposed)
    ]
    arrays = [random.standard_normal((*leading, *shape), np.float32) for shape in shapes]
    given = dict(zip(("transA", "transB"), transposed))
    product = np.empty((*leading, rows, columns), np.float32)
    operations = 2.0 * batch * rows * depth * columns
    times = max(1, round(OPERATIONS_OF_A_TURN / operations))
    runs = {
        "ours": one_node("MatrixProduct", "ai.svgd", given, arrays, [product], threads),
        "onnxruntime's": one_node(
            "FusedMatMul", "com.microsoft", given, arrays, [product], threads
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
        "form": form,
        "batch": batch,
        "rows": rows,
        "depth": depth,
        "columns": columns,
        **{f"{kind} GFLOP/s": operations / seconds / 1e9 for kind, seconds in least.items()},
        "of onnxruntime's": least["ours"] / least["onnxruntime's"],
    }


if __name__ == "__main__":
    main()
