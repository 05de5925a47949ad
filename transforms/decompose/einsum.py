"""Einsum of two operands, as a matrix product where it is one."""

from __future__ import annotations

from math import prod

import onnx_ir as ir

from svgd_onnx.transforms.rule import Rule, fixed_size, inputs_of, text
from svgd_onnx.transforms.writer import Writer


def einsum(node: ir.Node, write: Writer) -> ir.Value | None:
    """Labels in both operands and the result are batch axes, those in the operands alone contracted.

    What is no matrix product stays as it is.
    A matrix product has one row axis and one column axis; the other row and column labels are batch
    axes of the operand that has them, and of size 1 in the other.
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
    if set(left + right) != {*batch, *rows, *columns, *contracted} or not contracted:
        return None
    a, b = inputs_of(node, 2)
    sizes = [b.shape[right.index(label)] if b.shape is not None else None for label in contracted]
    if len(contracted) > 1 and not all(isinstance(size, int) for size in sizes):
        return None
    leading = len(batch) + max(len(rows) - 1, 0) + max(len(columns) - 1, 0)

    first = _arrange(write, a, left, [*batch, *rows, *contracted])
    if len(contracted) > 1:
        merged = [*[0] * (len(batch) + len(rows)), -1]
        first = write.node("Reshape", first, write.integers(*merged))
    # ones for the other operand's column axes, before the row axis, and for a row axis that is missing
    ones = [len(batch) + max(len(rows) - 1, 0) + i for i in range(max(len(columns) - 1, 0))]
    ones += [] if rows else [leading]
    first = _with_ones(write, first, ones)

    second = _arrange(write, b, right, [*batch, *columns[:-1], *contracted, *columns[-1:]])
    if len(contracted) > 1:
        inner = prod(
            fixed_size(b, right.index(label), of="its second input") for label in contracted
        )
        merged = [*[0] * (len(batch) + len(columns[:-1])), inner, -1][: None if columns else -1]
        second = write.node("Reshape", second, write.integers(*merged))
    ones = [len(batch) + i for i in range(max(len(rows) - 1, 0))]
    ones += [] if columns else [leading + 1]
    second = _with_ones(write, second, ones)

    product = write.node("MatMul", first, second)
    gone = [leading + place for place, labels in enumerate((rows, columns)) if not labels]
    if gone:
        product = write.node("Squeeze", product, write.integers(*gone))
    order = [*batch, *rows[:-1], *columns[:-1], *rows[-1:], *columns[-1:]]
    return _arrange(write, product, "".join(order), list(result))


def _arrange(write: Writer, value: ir.Value, labels: str, order: list[str]) -> ir.Value:
    permutation = [labels.index(label) for label in order]
    if permutation == sorted(permutation):
        return value
    return write.node("Transpose", value, perm=permutation)


def _with_ones(write: Writer, value: ir.Value, axes: list[int]) -> ir.Value:
    return write.node("Unsqueeze", value, write.integers(*axes)) if axes else value


EINSUM: dict[str, Rule] = {"Einsum": einsum}
