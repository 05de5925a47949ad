"""TransposedProduct beside onnxruntime's own product of a transposed matrix, by the sizes of weights.

    python -m tools.bench.products [--threads N] [--turns N] [--output FILE.json]

A (depth, rows), transposed, times B (depth, columns): the gradient of a weight (rows, columns) over so many
rows of data; "batch" are as many at once. GFLOP/s by the least of all turns, which alternate, "of
onnxruntime's" is the ratio of times.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

import svgd_onnx
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
    operations = 2.0 * batch * rows * depth * columns
    times = max(1, round(OPERATIONS_OF_A_TURN / operations))
    runs = {
        "ours": _session("TransposedProduct", "ai.svgd", arrays, threads),
        "onnxruntime's": _session("FusedMatMul", "com.microsoft", arrays, threads, transA=1),
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


def _session(
    operator: str, domain: str, arrays: list[np.ndarray], threads: int, **attributes: int
) -> Callable[[], None]:
    node = helper.make_node(operator, ["a", "b"], ["c"], domain=domain, **attributes)
    given = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
        for name, array in zip("ab", arrays)
    ]
    made = helper.make_tensor_value_info("c", TensorProto.FLOAT, [None] * arrays[0].ndim)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(domain, 1)]
    graph = helper.make_graph([node], "product", given, [made])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.register_custom_ops_library(str(svgd_onnx.custom_op_library()))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    binding = session.io_binding()
    for name, array in zip("ab", arrays):
        binding.bind_cpu_input(name, array)
    binding.bind_output("c")
    return lambda: session.run_with_iobinding(binding)


if __name__ == "__main__":
    main()
