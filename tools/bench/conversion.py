"""How long conversion takes, by the number of nodes.

    python -m tools.bench.conversion

Chains of Gemm, Tanh and Add of growing length show whether the time a node stays the same: each is converted
several times, in turns, and the median counts. Beside them stand the onnx package's nine classic networks.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time

import numpy as np
import onnx
from rich.console import Console
from rich.table import Table

import svgd_onnx
from tools import light_models

LENGTHS = (1_000, 3_000, 10_000)
WIDTH = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-light", action="store_true", help="chains only")
    arguments = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 100)
    console.print(_chains(arguments.repeats))
    if not arguments.no_light:
        console.print(_light())


def _chains(repeats: int) -> Table:
    models = {length: _chain(length) for length in LENGTHS}
    _seconds(models[LENGTHS[0]])  # imports
    measured = [
        {length: _seconds(model) for length, model in models.items()} for _ in range(repeats)
    ]
    medians = {length: statistics.median(row[length] for row in measured) for length in LENGTHS}
    table = Table(title=f"chains, median of {repeats}")
    for column in ("nodes", "seconds", "ms a node", "against the shortest"):
        table.add_column(column, justify="right")
    shortest = medians[LENGTHS[0]] / LENGTHS[0]
    for length, seconds in medians.items():
        each = seconds / length
        table.add_row(
            f"{length:,}", f"{seconds:.2f}", f"{1e3 * each:.3f}", f"{each / shortest:.2f}"
        )
    return table


def _light() -> Table:
    table = Table(title="the onnx package's light models, with random weights")
    for column in ("model", "nodes", "parameters (MB)", "seconds"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for name in light_models.NAMES:
        model = light_models.load(name)
        size = sum(len(tensor.raw_data) for tensor in model.graph.initializer) / 1e6
        nodes = str(len(model.graph.node))
        table.add_row(name, nodes, f"{size:.0f}", f"{_seconds(model):.2f}")
    return table


def _seconds(model: onnx.ModelProto) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        svgd_onnx.convert(model, f"{folder}/artifacts")
        return time.perf_counter() - started


def _chain(length: int) -> onnx.ModelProto:
    nodes, weights, value = [], [], "x"
    random = np.random.default_rng(0)
    for index in range(length // 3):
        for name, shape in ((f"w{index}", (WIDTH, WIDTH)), (f"b{index}", (WIDTH,))):
            array = random.normal(scale=0.3, size=shape).astype(np.float32)
            weights.append(onnx.numpy_helper.from_array(array, name))
        steps = (("Gemm", [value, f"w{index}", f"b{index}"]), ("Tanh", [f"Gemm_{index}"]))
        for op_type, inputs in (*steps, ("Add", [f"Tanh_{index}", "x"])):
            output = f"{op_type}_{index}"
            nodes.append(onnx.helper.make_node(op_type, inputs, [output], name=output))
        value = f"Add_{index}"
    nodes.append(onnx.helper.make_node("Identity", [value], ["y"], name="last"))
    infos = [onnx.helper.make_tensor_value_info(name, 1, ["batch", WIDTH]) for name in ("x", "y")]
    graph = onnx.helper.make_graph(nodes, "chain", infos[:1], infos[1:], weights)
    opsets = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)


if __name__ == "__main__":
    main()
