"""Attention as one operator beside the nodes that it takes the place of, by the sizes of heads.

    python -m tools.bench.attention [--threads N] [--turns N] [--output FILE.json]

softmax(scale Q K) V of (batch, heads, tokens, size), and with "gradient" its gradient after it; "guarded" have
probabilities that are NaN made 0 in both, as PyTorch's exports do. Milliseconds, the least of all turns, which
alternate; "of nodes" is the ratio of times, "kept" what lies in memory between both directions, in MB.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnx import NodeProto, TensorProto, helper

import svgd_onnx
from tools.bench.report import report

# batch, heads, tokens, size
SIZES = [
    (32, 4, 64, 32),
    (2, 12, 64, 64),
    (8, 12, 128, 64),
    (8, 12, 256, 64),
    (2, 12, 512, 64),
    (1, 12, 1024, 64),
]
SECONDS_OF_A_TURN = 0.1
ATTENTION = "ScaledDotProductAttention"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--output", type=Path, default=Path("build/bench/attention.json"))
    given = parser.parse_args()
    rows = [_row(size, guarded, given.threads, given.turns) for size in SIZES for guarded in (0, 1)]
    report("Attention", rows, given.output)


def _row(size: tuple[int, ...], guarded: int, threads: int, turns: int) -> dict[str, Any]:
    scale = size[-1] ** -0.5
    forms = {
        "ours": (_one(scale, guarded), _gradient_of_one(scale)),
        "nodes": (_nodes(guarded), _gradient_of_nodes(scale, guarded)),
    }
    random = np.random.default_rng(0)
    turned = (*size[:2], size[3], size[2])
    shapes = {"q": size, "k": turned, "v": size, "d_out": size}
    feeds = {name: random.standard_normal(each, np.float32) for name, each in shapes.items()}
    gradients = ["d_q", "d_k", "d_v"]
    sessions = {
        (form, both): _session(
            forward + (backward if both else []),
            ["out", *(gradients if both else [])],
            scale,
            threads,
        )
        for form, (forward, backward) in forms.items()
        for both in (False, True)
    }
    least = dict.fromkeys(sessions, np.inf)
    for _ in range(turns):
        for kind, session in sessions.items():
            least[kind] = min(least[kind], _seconds(session, feeds))
    batch, heads, tokens, width = size
    matrix = batch * heads * tokens * tokens / 1e6
    row: dict[str, Any] = {
        "batch": batch,
        "heads": heads,
        "tokens": tokens,
        "size": width,
        "guarded": bool(guarded),
    }
    for name, both in (("forward", False), ("with gradient", True)):
        row[f"{name}, ours"] = 1e3 * least["ours", both]
        row[f"{name}, nodes"] = 1e3 * least["nodes", both]
        row[f"{name}, of nodes"] = least["ours", both] / least["nodes", both]
    row["kept, ours"] = 8 * batch * heads * tokens / 1e6
    row["kept, nodes"] = (5 if guarded else 4) * matrix
    return row


def _seconds(session: onnxruntime.InferenceSession, feeds: dict[str, np.ndarray]) -> float:
    session.run(None, feeds)
    start, times = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS_OF_A_TURN:
        session.run(None, feeds)
        times += 1
    return (time.perf_counter() - start) / times


def _one(scale: float, guarded: int) -> list[NodeProto]:
    options = {"scale": scale, "nan_as_zero": guarded, "domain": "ai.svgd"}
    outputs = ["out", "greatest", "inverse"]
    return [helper.make_node(ATTENTION, ["q", "k", "v"], outputs, **options)]


def _gradient_of_one(scale: float) -> list[NodeProto]:
    inputs = ["d_out", "q", "k", "v", "greatest", "inverse"]
    outputs = ["d_q", "d_k", "d_v"]
    return [
        helper.make_node(f"{ATTENTION}Gradient", inputs, outputs, domain="ai.svgd", scale=scale)
    ]


def _nodes(guarded: int) -> list[NodeProto]:
    node = helper.make_node
    return [
        node("MatMul", ["q", "k"], ["product"]),
        node("Mul", ["product", "scale"], ["scores"]),
        node("Softmax", ["scores"], ["p0" if guarded else "p"]),
        *([node("IsNaN", ["p0"], ["nan"]), node("Where", ["nan", "0", "p0"], ["p"])] * guarded),
        node("MatMul", ["p", "v"], ["out"]),
    ]


def _gradient_of_nodes(scale: float, guarded: int) -> list[NodeProto]:
    node = helper.make_node
    product = {"domain": "com.microsoft"}
    return [
        node("MatrixProduct", ["p", "d_out"], ["d_v"], domain="ai.svgd", transA=1),
        node("FusedMatMul", ["d_out", "v"], ["d_p0" if guarded else "d_p"], transB=1, **product),
        *([node("Where", ["nan", "0", "d_p0"], ["d_p"])] * guarded),
        node("SoftmaxGradient", ["d_p", "p"], ["d_product"], domain="ai.svgd", scale=scale),
        node("FusedMatMul", ["d_product", "k"], ["d_q"], transB=1, **product),
        node("MatrixProduct", ["q", "d_product"], ["d_k"], domain="ai.svgd", transA=1),
    ]


def _session(
    nodes: list[NodeProto], outputs: list[str], scale: float, threads: int
) -> onnxruntime.InferenceSession:
    kind = TensorProto.FLOAT
    inputs = ["q", "k", "v", "d_out"]
    graph = helper.make_graph(
        nodes,
        "attention",
        [helper.make_tensor_value_info(name, kind, [None] * 4) for name in inputs],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [
            helper.make_tensor(name, kind, [], [value])
            for name, value in (("scale", scale), ("0", 0))
        ],
    )
    opsets = [helper.make_opsetid(each, 1) for each in ("ai.svgd", "com.microsoft")]
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), *opsets], ir_version=8
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.register_custom_ops_library(str(svgd_onnx.custom_op_library()))
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


if __name__ == "__main__":
    main()
