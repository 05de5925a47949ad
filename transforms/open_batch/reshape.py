"""Where operators that only change the shape leave examples, and the sizes that they then have to be told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.open_batch.rows import (
    Count,
    Rows,
    Rule,
    Sizes,
    Tracing,
    Where,
    from_front,
    product,
    size,
)
from svgd_onnx.transforms.rule import RefusedError, constant_value, integer, integers, known_rank
from svgd_onnx.transforms.writer import Writer


def _source(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    assert value is not None
    return value


def transpose(node: ir.Node, tracing: Tracing) -> Where:
    rows, rank = tracing.first(node), known_rank(_source(node))
    perm = integers(node, "perm", list(range(rank))[::-1])
    return rows.at(perm.index(rows.axis))


def squeeze(node: ir.Node, tracing: Tracing) -> Where:
    rows, source = tracing.first(node), _source(node)
    axes = tracing.numbers(node, 1, "axes")
    if axes is None:
        raise RefusedError("it takes away every axis of 1")
    axes = from_front(axes, known_rank(source))
    if rows.axis in axes:
        raise RefusedError("it takes the batch axis away")
    return rows.at(rows.axis - sum(axis < rows.axis for axis in axes))


def unsqueeze(node: ir.Node, tracing: Tracing) -> Where:
    rows = tracing.first(node)
    axes = tracing.numbers(node, 1, "axes") or []
    taken = set(from_front(axes, known_rank(_source(node)) + len(axes)))
    free = [axis for axis in range(known_rank(_source(node)) + len(axes)) if axis not in taken]
    return rows.at(free[rows.axis])


def flatten(node: ir.Node, tracing: Tracing) -> Where:
    rows, source = tracing.first(node), _source(node)
    rank = known_rank(source)
    axis = integer(node, "axis", 1)
    axis = axis + rank if axis < 0 else axis
    before = product(source, 0, rows.axis) * rows.before
    sizes: list[int | None] = [product(source, 0, axis), product(source, axis, rank)]
    return tracing.choose(node, _places(before, sizes, tracing.batch))


def reshape(node: ir.Node, tracing: Tracing) -> Where:
    """The batch axis is where as many entries lie before it as before, and may have more of each example."""
    source = _source(node)
    rows = tracing.rows(source)
    if rows is None:
        raise RefusedError("it is told the size of the batch")
    before = product(source, 0, rows.axis) * rows.before
    result = tracing.choose(node, _places(before, _sizes(node, tracing), tracing.batch))
    _tell(node, tracing, rows, result)
    return result


def _places(before: int, sizes: Sequence[int | None], batch: int) -> list[Rows]:
    """Where examples may be after a change of shape: in an axis of their own, or else in one with others.

    Args:
        before: how often all examples come one after another.
        sizes: of the axes then.
        batch: how many examples there are.
    """
    found: list[Rows] = []
    entries = 1
    for axis, there in enumerate(sizes):
        outer = before // max(entries, 1)
        if entries * outer != before or not outer * batch:  # of no numbers, where a size is 0
            break
        if there is None:
            if not found:
                raise RefusedError("sizes around the batch axis are open")
            break
        if there % (outer * batch) == 0:
            found.append(Rows(axis, there // (outer * batch), outer))
        entries *= there
    if not found:
        raise RefusedError("it mixes examples with what comes before or after them")
    return sorted(found, key=lambda rows: not rows.alone)


def _sizes(node: ir.Node, tracing: Tracing) -> list[int | None]:
    """The sizes of a Reshape's output as far as they are known, with the fixed batch."""
    output = node.outputs[0]
    sizes = [size(output, axis) for axis in range(known_rank(output))]
    wanted = tracing.of(node.inputs[1])
    if isinstance(wanted, Sizes):
        for axis, each in enumerate(wanted.entries):
            if isinstance(each, Count):
                sizes[axis] = tracing.batch * each.times
            elif isinstance(each, int) and each > 0:
                sizes[axis] = each
    return sizes


def _tell(node: ir.Node, tracing: Tracing, rows: Rows, result: Rows) -> None:
    """Sees to it that a Reshape is told the new size."""
    wanted, told = tracing.of(node.inputs[1]), constant_value(node.inputs[1])
    if isinstance(wanted, Sizes) and isinstance(wanted.entries[result.axis], Count):
        return  # computed from the batch itself
    new = _sizes(node, tracing)
    copied = rows == result and not integer(node, "allowzero", 0)
    if None not in new:
        new[result.axis] = -1
    elif told is not None and copied:
        new = [int(each) for each in told]
        new[result.axis] = 0  # as it is in the input
    elif copied:
        tracing.edits.append(lambda graph: _copy_size(graph, node, result.axis))
        return
    else:
        raise RefusedError("it is told a size beside others that are open")
    tracing.edits.append(lambda graph: _replace(graph, node, 1, new))


def _copy_size(graph: ir.Graph, node: ir.Node, axis: int) -> None:
    """Makes one entry of computed sizes 0: as it is in the input."""
    write = Writer(f"{node.outputs[0].name}/sizes", graph.opset_imports[""])
    kept = [int(each != axis) for each in range(known_rank(node.outputs[0]))]
    node.replace_input_with(1, write.node("Mul", node.inputs[1], write.integers(*kept)))
    write.insert_before(graph, node)


def expand(node: ir.Node, tracing: Tracing) -> Where:
    source, output = _source(node), node.outputs[0]
    rows, rank, told = tracing.rows(source), known_rank(output), tracing.of(node.inputs[1])
    if rows is None:
        return _of_one(source, told)
    axis = rows.axis + rank - known_rank(source)
    wanted = constant_value(node.inputs[1])
    if size(output, axis) not in (None, tracing.batch * rows.each * rows.before):
        raise RefusedError("it repeats examples")
    if wanted is not None:
        new = [int(each) for each in wanted]
        if axis - rank + len(new) >= 0:
            new[axis - rank + len(new)] = 1  # as many as there are
        tracing.edits.append(lambda graph: _replace(graph, node, 1, new))
    elif not isinstance(told, Sizes) or (
        axis - rank + len(told.entries) >= 0 and told.entries[axis - rank] not in (1, Count())
    ):
        raise RefusedError("it is told a size that is computed")
    return rows.at(axis)


def _of_one(source: ir.Value, told: Where) -> Rows:
    """Where a constant is repeated for each example."""
    places = (
        [at for at, each in enumerate(told.entries) if isinstance(each, Count)]
        if isinstance(told, Sizes)
        else []
    )
    assert isinstance(told, Sizes)
    at = places[0] if len(places) == 1 and told.entries[places[0]] == Count() else None
    if at is None:
        raise RefusedError("it is told the size of the batch")
    axis = at - len(told.entries) + known_rank(source)
    if axis >= 0 and size(source, axis) != 1:
        raise RefusedError("a constant has an entry for each example")
    return Rows(at)


def tile(node: ir.Node, tracing: Tracing) -> Where:
    rows = tracing.first(node)
    repeats = tracing.numbers(node, 1) or []
    if repeats[rows.axis] != 1:
        raise RefusedError("it repeats examples")
    return rows


def expanded(
    tracing: Tracing,
    node: ir.Node,
    place: int,
    rows: Rows,
    reference: ir.Value,
    axis: int | None = None,
) -> None:
    """Repeats a constant of one example for each, where an operator takes one of each.

    Args:
        tracing: takes the change.
        node, place: what reads it.
        rows: where the constant is to have examples.
        reference: a value that has them.
        axis: where; None for where the constant is to have them.
    """
    value = node.inputs[place]
    if value is None or tracing.batch != 1 or not rows.alone or size(value, rows.axis) != 1:
        raise RefusedError("a constant has an entry for each example")
    rank, of_batch = known_rank(value), rows.axis if axis is None else axis

    def edit(graph: ir.Graph) -> None:
        write = Writer(f"{node.outputs[0].name}/examples_{place}", graph.opset_imports[""])
        count = write.node("Shape", reference, start=of_batch, end=of_batch + 1)
        before, after = rows.axis, rank - 1 - rows.axis
        ones = [write.integers(*[1] * each) for each in (before, after) if each]
        parts = [*(ones[:1] if before else []), count, *(ones[-1:] if after else [])]
        sizes = write.node("Concat", *parts, axis=0)
        node.replace_input_with(place, write.node("Expand", value, sizes))
        write.insert_before(graph, node)

    tracing.edits.append(edit)


def _replace(graph: ir.Graph, node: ir.Node, place: int, sizes: Sequence[int | None]) -> None:
    """Gives a node a constant of its own."""
    name = f"{node.outputs[0].name}/sizes"
    value = ir.val(name, const_value=ir.tensor(np.array(sizes, np.int64), name=name))
    graph.register_initializer(value)
    node.replace_input_with(place, value)


RESHAPES: dict[str, Rule] = {
    "Transpose": transpose,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Flatten": flatten,
    "Reshape": reshape,
    "Expand": expand,
    "Tile": tile,
}
