"""Einsum of two operands, as a matrix product where it is one."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.decompose.rule import Rule, Writer, inputs_of, text


def einsum(node: ir.Node, write: Writer) -> ir.Value | None:
    """batch, row, contracted; batch, contracted, column -> batch, row, column.

    At most one row, one column and one contracted label; any number of batch labels.
    """
    equation = text(node, "equation", "").replace(" ", "")
    if "..." in equation or "->" not in equation or equation.count(",") != 1:
        return None
    operands, result = equation.split("->")
    left, right = operands.split(",")
    if any(len(set(labels)) != len(labels) for labels in (left, right, result)):
        return None
    batch = [label for label in result if label in left and label in right]
    rows = [label for label in result if label in left and label not in right]
    columns = [label for label in result if label in right and label not in left]
    contracted = [label for label in left if label in right and label not in result]
    used = {*batch, *rows, *columns, *contracted}
    if set(left + right) != used or max(len(rows), len(columns), len(contracted)) > 1:
        return None
    a, b = inputs_of(node, 2)
    a = _arrange(write, a, left, [*batch, *rows, *contracted], _missing(batch, rows, contracted))
    b = _arrange(
        write, b, right, [*batch, *contracted, *columns], _missing(batch, contracted, columns)
    )
    product = write.node("MatMul", a, b)
    gone = [len(batch) + place for place, labels in enumerate((rows, columns)) if not labels]
    if gone:
        product = write.node("Squeeze", product, write.integers(*gone))
    order = [*batch, *rows, *columns]
    return _arrange(write, product, "".join(order), list(result), [])


def _missing(batch: list[str], first: list[str], second: list[str]) -> list[int]:
    """Where axes of size 1 have to be put in for a matrix."""
    return [len(batch) + place for place, labels in enumerate((first, second)) if not labels]


def _arrange(
    write: Writer, value: ir.Value, labels: str, order: list[str], ones: list[int]
) -> ir.Value:
    permutation = [labels.index(label) for label in order]
    if permutation != sorted(permutation):
        value = write.node("Transpose", value, perm=permutation)
    return write.node("Unsqueeze", value, write.integers(*ones)) if ones else value


EINSUM: dict[str, Rule] = {"Einsum": einsum}
