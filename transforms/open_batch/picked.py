"""What constants pick of each example, where the file counts through a batch of one."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.open_batch.rows import Rows, Tracing, Where
from svgd_onnx.transforms.rule import RefusedError, constant_value, integer
from svgd_onnx.transforms.writer import Writer, take_place


def gather_of_one(node: ir.Node, tracing: Tracing) -> Where:
    """Gather along the axis of a single example's entries, by an index with an axis of 1 for examples.

    (1·K) by (1, ...) becomes (N, K) by (...) along axis 1, which gives (N, ...).
    """
    rows = tracing.rows(node.inputs[0])
    index = _index(node, tracing)
    if rows is None or (rows.axis, rows.before) != (0, 1) or integer(node, "axis", 0) != 0:
        raise RefusedError("it takes examples by their numbers")
    if int(index.min(initial=0)) < 0 or int(index.max(initial=0)) >= rows.each:
        raise RefusedError("it takes examples by their numbers")

    def edit(graph: ir.Graph) -> None:
        data = node.inputs[0]
        assert data is not None and rows is not None
        write = _writer(graph, node)
        sizes = [int(dim) for dim in (data.shape or ())[1:] if isinstance(dim, int)]
        each = write.node("Reshape", data, write.integers(-1, rows.each, *sizes))
        new = write.node("Gather", each, write.constant(index[0]), axis=1)
        _put(graph, node, write, new, tracing)

    if any(not isinstance(dim, int) for dim in _shape(node)[1:]):
        raise RefusedError("sizes around the batch axis are open")
    tracing.edits.append(edit)
    return Rows(0)


def gather_nd(node: ir.Node, tracing: Tracing) -> Where:
    """GatherND of (1, ...) by (1, ..., D), whose first numbers are all 0, the number of the example.

    It becomes one of (N, ...) by (N, ..., D - 1) for each example.
    """
    rows, index = tracing.rows(node.inputs[0]), _index(node, tracing)
    if rows is None or rows != Rows(0) or integer(node, "batch_dims", 0) or index.shape[-1] < 2:
        raise RefusedError("it takes examples by their numbers")
    if index[..., 0].any():
        raise RefusedError("it takes examples by their numbers")

    def edit(graph: ir.Graph) -> None:
        data = node.inputs[0]
        write = _writer(graph, node)
        count = write.node("Shape", data, start=0, end=1)
        rest = index[..., 1:]
        sizes = write.node("Concat", count, write.integers(*rest.shape[1:]), axis=0)
        each = write.node("Expand", write.constant(rest), sizes)
        _put(graph, node, write, write.node("GatherND", data, each, batch_dims=1), tracing)

    tracing.edits.append(edit)
    return Rows(0)


def _index(node: ir.Node, tracing: Tracing) -> np.ndarray:
    """A constant index with an axis of 1 first, of a batch of one."""
    index = constant_value(node.inputs[1])
    if tracing.batch != 1 or index is None or index.ndim < 2 or index.shape[0] != 1:
        raise RefusedError("it takes examples by their numbers")
    return index


def _shape(node: ir.Node) -> list[object]:
    data = node.inputs[0]
    return [] if data is None or data.shape is None else list(data.shape)


def _writer(graph: ir.Graph, node: ir.Node) -> Writer:
    return Writer(f"{node.outputs[0].name}/of_each", graph.opset_imports[""])


def _put(graph: ir.Graph, node: ir.Node, write: Writer, new: ir.Value, tracing: Tracing) -> None:
    """Gives what was written the place of a node's output."""
    old = node.outputs[0]
    write.insert_before(graph, node)
    take_place(new, old)
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    tracing.where[new] = tracing.where.pop(old)
