"""What is computed of the size of the batch, among other sizes: vectors of which the entries are followed."""

from __future__ import annotations

from functools import reduce

import onnx_ir as ir

from svgd_onnx.transforms.open_batch.rows import (
    Count,
    Entry,
    Rows,
    Rule,
    Sizes,
    Tracing,
    Where,
    size,
)
from svgd_onnx.transforms.rule import RefusedError, constant_value, input_of, integer, known_rank


def entries_of(value: ir.Value | None, tracing: Tracing) -> tuple[Entry, ...]:
    """The entries of a vector or a number; None for those that are not known."""
    where = tracing.of(value)
    if isinstance(where, Sizes):
        return where.entries
    array = constant_value(value)
    if array is not None:
        return tuple(int(each) for each in array.reshape(-1))
    if value is None or where is not None or value.shape is None or len(value.shape) > 1:
        raise RefusedError("it computes with the size of the batch")
    count = size(value, 0) if len(value.shape) else 1
    if count is None:
        raise RefusedError("it computes with the size of the batch")
    return (None,) * count


def shape(node: ir.Node, tracing: Tracing) -> Where:
    source = node.inputs[0]
    rows = tracing.rows(source)
    if rows is None or source is None:
        raise RefusedError("it computes with the size of the batch")
    rank = known_rank(source)
    axes = range(rank)[slice(integer(node, "start", 0), integer(node, "end", rank))]
    count = Count(rows.each * rows.before)
    return Sizes(tuple(count if axis == rows.axis else size(source, axis) for axis in axes))


def same(node: ir.Node, tracing: Tracing) -> Where:
    return Sizes(entries_of(node.inputs[0], tracing))


def gather(node: ir.Node, tracing: Tracing) -> Where:
    entries = entries_of(node.inputs[0], tracing)
    return Sizes(tuple(entries[place] for place in tracing.numbers(node, 1) or []))


def slices(node: ir.Node, tracing: Tracing) -> Where:
    entries = entries_of(node.inputs[0], tracing)
    (start, *_), (end, *_) = (
        tracing.numbers(node, 1) or [0],
        tracing.numbers(node, 2) or [len(entries)],
    )
    step = (tracing.numbers(node, 4) or [1])[0]
    return Sizes(entries[start:end:step])


def concat(node: ir.Node, tracing: Tracing) -> Where:
    return Sizes(tuple(each for value in node.inputs for each in entries_of(value, tracing)))


def filled(node: ir.Node, tracing: Tracing) -> Where:
    """ConstantOfShape: the same for each example."""
    entries = entries_of(input_of(node, 0), tracing)
    if entries.count(Count()) != 1 or sum(isinstance(each, Count) for each in entries) != 1:
        raise RefusedError("it computes with the size of the batch")
    return Rows(entries.index(Count()))


def arithmetic(node: ir.Node, tracing: Tracing) -> Where:
    a, b = (entries_of(value, tracing) for value in node.inputs)
    count = max(len(a), len(b))
    pairs = zip(a * (count // len(a)), b * (count // len(b)))
    return Sizes(tuple(_ARITHMETIC[node.op_type](*pair) for pair in pairs))


def _times(a: Entry, b: Entry) -> Entry:
    if isinstance(a, int) and isinstance(b, int):
        return a * b
    if isinstance(b, Count):
        a, b = b, a
    if isinstance(a, Count) and isinstance(b, int):
        return Count(a.times * b)
    return _neither(a, b)


def _divided(a: Entry, b: Entry) -> Entry:
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    if isinstance(a, Count) and isinstance(b, int) and a.times % b == 0:
        return Count(a.times // b)
    return _neither(a, b)


def _plus(a: Entry, b: Entry) -> Entry:
    return a + b if isinstance(a, int) and isinstance(b, int) else _neither(a, b)


def _minus(a: Entry, b: Entry) -> Entry:
    return a - b if isinstance(a, int) and isinstance(b, int) else _neither(a, b)


def _neither(a: Entry, b: Entry) -> Entry:
    """What is not known, and not of the batch."""
    if isinstance(a, Count) or isinstance(b, Count):
        raise RefusedError("it computes with the size of the batch")
    return None


def product(node: ir.Node, tracing: Tracing) -> Where:
    return Sizes((reduce(_times, entries_of(node.inputs[0], tracing)),))


_ARITHMETIC = {"Add": _plus, "Div": _divided, "Mul": _times, "Sub": _minus}


SIZE_RULES: dict[str, Rule] = {
    **dict.fromkeys(_ARITHMETIC, arithmetic),
    "Cast": same,
    "Concat": concat,
    "ConstantOfShape": filled,
    "Gather": gather,
    "Identity": same,
    "ReduceProd": product,
    "Reshape": same,
    "Slice": slices,
    "Squeeze": same,
    "Unsqueeze": same,
}
