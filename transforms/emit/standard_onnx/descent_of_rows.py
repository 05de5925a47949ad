"""The update of an embedding by the rows that a batch has taken, without a gradient of its size."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from svgd_onnx.transforms.fast_operators import DESCENT_OF_ROWS
from svgd_onnx.transforms.lower import adds_to_zeros
from svgd_onnx.transforms.rule import integer
from svgd_onnx.transforms.virtualize import DOMAIN
from svgd_onnx.transforms.writer import Writer


def rows_of(gradient: ir.Value) -> tuple[ir.Value, ir.Value] | None:
    """Indices, one a row, and the rows that a gradient is the sum of; None if it is something else.

    So is what `lower` makes of the gradient of Gather along the first axis.
    """
    scatter = gradient.producer()
    if scatter is None or not adds_to_zeros(scatter) or integer(scatter, "axis", 0):
        return None
    indices, rows = scatter.inputs[1:]
    expand = None if indices is None else indices.producer()
    if rows is None or expand is None or expand.op_type != "Expand":
        return None
    column = expand.inputs[0]
    reshape = None if column is None else column.producer()
    if column is None or reshape is None or reshape.op_type != "Reshape":
        return None
    sizes = None if reshape.inputs[1] is None else reshape.inputs[1].const_value
    axes = len(gradient.shape or ())
    if sizes is None or sizes.numpy().tolist() != [-1] + [1] * (axes - 1):
        return None
    return column, rows


def descent_of_rows(
    write: Writer,
    parameter: ir.Value,
    rate: ir.Value,
    rows: tuple[ir.Value, ir.Value],
    guard: ir.Value,
) -> ir.Value:
    """The parameter less the rate times what `rows_of` its gradient gave, where a guard is finite."""
    indices, directions = rows
    indices = write.cast(indices, "int64")
    inputs = [parameter, rate, indices, directions, guard]
    return write.nodes_with(DESCENT_OF_ROWS, inputs, {}, 1, DOMAIN)[0]


def write_gradients_of_rows(graph: ir.Graph, names: Mapping[str, str]) -> None:
    """Writes gradients whole that a step has the rows of alone: what `descent_of_rows` makes of zeros at -1.

    Args:
        graph: of the step.
        names: what gradients are called, by their parameters; those that are there stay.
    """
    there = {value.name for node in graph for value in node.outputs}
    for node in [each for each in graph if each.op_type == DESCENT_OF_ROWS]:
        parameter, _, indices, directions, *_ = node.inputs
        name = names[(parameter and parameter.name) or ""]
        if name in there:
            continue
        write = Writer(f"{name}/whole", graph.opset_imports[""])
        zeros = write.node("ConstantOfShape", write.node("Shape", parameter))
        inputs = [zeros, write.scalar(-1), indices, directions]
        (gradient,) = write.nodes_with(DESCENT_OF_ROWS, inputs, {}, 1, DOMAIN)
        gradient.name = name
        write.append_to(graph)
