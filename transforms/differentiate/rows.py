"""Uses of outer values in a body whose gradient is that of one operation over all turns at once.

A matrix product at each turn, x_t W, is one product of all the rows of all x_t, and so is its gradient.
It is written once, in the graph around the body: that is faster than adding up a product of each turn,
and T finds dY of all turns there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from svgd_onnx.transforms.rule import integer, rank

# Operator -> inputs that may be an outer value -> the operands that their gradient reads.
_READ: dict[str, dict[int, tuple[int, ...]]] = {
    "Add": {0: (), 1: ()},
    "Conv": {1: (0,)},
    "Gather": {0: (1,)},
    "Gemm": {1: (0,), 2: ()},
    "MatMul": {1: (0,)},
    "Mul": {0: (1,), 1: (0,)},
    "Sub": {0: (), 1: ()},
}


@dataclass(frozen=True)
class Use:
    """A use of an outer value by an operation on the rows of a body, at all turns.

    Attributes:
        node: the operation.
        position: of the outer value among its inputs.
        operands: those of its other inputs that the gradient reads, by position, rows of all turns.
        dy: the gradient of its output, rows of all turns.
        value: the outer value.
    """

    node: ir.Node
    position: int
    operands: Mapping[int, ir.Value]
    dy: ir.Value
    value: ir.Value


def operands_of(node: ir.Node, position: int, shared: Collection[ir.Value]) -> list[int] | None:
    """The operands that the gradient of an outer value reads, if the operation works row by row.

    Args:
        node: an operation in a body.
        position: of an input that is an outer value.
        shared: the values that are the same at all turns; the other operand must not be one.

    Returns:
        Positions; None if the operation is not known to work on each row, along the first axis, by itself.
    """
    read = _READ.get(node.op_type, {}).get(position) if node.domain == "" else None
    value, y = node.inputs[position], node.outputs[0]
    if read is None or value is None or rank(value) is None or rank(y) is None:
        return None
    other = node.inputs[1 if position == 0 else 0]
    if other is None or other in shared or rank(other) is None or other.const_value is not None:
        return None
    return list(read) if _by_rows(node, position, value, other, y) else None


def _by_rows(node: ir.Node, position: int, value: ir.Value, other: ir.Value, y: ir.Value) -> bool:
    value_rank, other_rank, y_rank = rank(value) or 0, rank(other) or 0, rank(y) or 0
    if node.op_type == "Conv":
        return True
    if node.op_type == "Gather":
        return integer(node, "axis", 0) == 0
    if node.op_type == "MatMul":
        return value_rank == 2 and other_rank >= 2
    if node.op_type == "Gemm" and integer(node, "transA", 0):
        return False
    if node.op_type == "Gemm" and position == 1:
        return True
    whole = y_rank if node.op_type == "Gemm" else other_rank
    if y_rank < 1 or whole < y_rank:
        return False
    repeated = value_rank < y_rank or (value.shape is not None and value.shape[0] == 1)
    return repeated and (y.shape is not None and y.shape[0] != 1)
