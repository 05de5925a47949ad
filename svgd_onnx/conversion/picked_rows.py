"""Whether the rows of a model's data refer to each other by their numbers, so that they are no examples."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from svgd_onnx.transforms.bodies import all_nodes, read_by
from svgd_onnx.transforms.rule import input_of, integer

# They give the numbers that they read, some of them, or numbers counted from elsewhere.
_NUMBERS = frozenset(
    {
        "Add",
        "Cast",
        "Concat",
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "Mod",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Sub",
        "Transpose",
        "Unsqueeze",
        "Where",
    }
)
_BY_AXIS = frozenset({"Gather", "GatherElements", "ScatterElements"})
_SHAPES = frozenset({"Shape", "Size"})


def picks_rows(graph: ir.Graph, symbol: str) -> bool:
    """Whether numbers in an input say which rows of what is computed from data are taken together.

    Edges of a graph do: their ends are numbers of nodes. So do offsets, where bags begin in one long list. A
    number that picks from a constant (an embedding) does not.

    Args:
        graph: shapes inferred.
        symbol: the name of the axis whose rows may be examples.
    """
    numbers = {
        value
        for value in graph.inputs
        if value.dtype is not None and value.dtype.is_integer() and value.shape is not None
    }
    data: set[ir.Value | None] = set(graph.inputs)
    rows = {value for value in numbers if symbol in _names(value)}
    for node in all_nodes(graph):
        if _picks(node, symbol, numbers, rows, data):
            return True
        read = read_by(node)
        if node.op_type not in _SHAPES and any(value in data for value in read):
            data.update(node.outputs)
        for kept in (numbers, rows):
            if any(value in kept for value in _numbers_read(node)):
                kept.update(node.outputs)
    return False


def _numbers_read(node: ir.Node) -> list[ir.Value | None]:
    """The inputs whose numbers a node gives on."""
    if node.op_type not in _NUMBERS or node.domain != "":
        return []
    return list(node.inputs[:1] if node.op_type == "Gather" else node.inputs)


def _picks(
    node: ir.Node,
    symbol: str,
    numbers: Collection[ir.Value],
    rows: Collection[ir.Value],
    data: Collection[ir.Value | None],
) -> bool:
    source = node.inputs[0] if node.inputs else None
    if source is None or node.domain != "" or source not in data:
        return False
    if node.op_type == "Slice":
        return any(input_of(node, place) in rows for place in (1, 2))
    if node.op_type not in _BY_AXIS or node.inputs[1] not in numbers:
        return False
    axis, rank = integer(node, "axis", 0), len(source.shape or ())
    return (axis + rank if axis < 0 else axis) == 0 and symbol in _names(source)[:1]


def _names(value: ir.Value) -> list[str | None]:
    return [None if isinstance(dim, int) else dim.value for dim in value.shape or ()]
