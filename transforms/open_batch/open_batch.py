"""Open a batch axis of fixed size."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

import onnx_ir as ir

from svgd_onnx.transforms.bodies import read_by
from svgd_onnx.transforms.canonicalize.infer_shapes import InferShapes
from svgd_onnx.transforms.open_batch.rows import Rows, Sizes, Tracing
from svgd_onnx.transforms.open_batch.rules import RULES
from svgd_onnx.transforms.open_batch.sizes import SIZE_RULES
from svgd_onnx.transforms.rule import RefusedError

_MOST_STEPS_BACK = 1000


class OpenBatch(ir.passes.InPlacePass):
    """Gives the batch axis a name in place of its size, where no value mixes examples.

    Every value that depends on the batch is followed to where it has its examples. Sizes that a Reshape or an
    Expand is told are changed, and constants of one example are repeated where an operator wants one of each.

    Args:
        inputs: the batch axis of each input that has one; all of one size.
        predictions: names of the outputs that have to have an entry for each example.

    Ensures: the batch axis of those inputs is open; or the model is as it was, and `refusal` says why.
    """

    def __init__(self, inputs: Mapping[str, int], *predictions: str) -> None:
        super().__init__()
        self._inputs = inputs
        self._predictions = predictions
        self.refusal: str | None = None

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        inputs = {value: self._inputs.get(value.name or "") for value in graph.inputs}
        axes = {value: axis for value, axis in inputs.items() if axis is not None}
        sizes = {dim for value, axis in axes.items() for dim in [(value.shape or ())[axis]]}
        (batch,) = sizes
        assert isinstance(batch, int)
        tracing = Tracing(batch, {value: Rows(axis) for value, axis in axes.items()})
        self.refusal = _trace_all(list(graph), tracing)
        if self.refusal is not None:
            return ir.passes.PassResult(model, modified=False)
        for predicted in graph.outputs:
            rows = tracing.of(predicted)
            if predicted.name in self._predictions and not (isinstance(rows, Rows) and rows.alone):
                self.refusal = f"'{predicted.name}' has no axis of its own for examples"
                return ir.passes.PassResult(model, modified=False)
        _open(graph, tracing)
        InferShapes()(model)
        return ir.passes.PassResult(model, modified=True)

    def ensures(self, model: ir.Model) -> None:
        for value in model.graph.inputs:
            axis = self._inputs.get(value.name or "")
            shape = None if self.refusal is not None or axis is None else value.shape
            if shape is not None and axis is not None and isinstance(shape[axis], int):
                raise ir.passes.PostconditionError(f"'{value.name}' has a fixed batch axis")


def _trace_all(nodes: Sequence[ir.Node], tracing: Tracing) -> str | None:
    """Finds where all values have their examples; what stands against it, if that cannot be said."""
    edits_before: dict[ir.Node, int] = {}
    refusal, place, steps_back = None, 0, 0
    while place < len(nodes):
        node = nodes[place]
        edits_before[node] = len(tracing.edits)
        try:
            if any(value in tracing.where for value in read_by(node)):
                _trace(node, tracing)
            place += 1
        except RefusedError as refused:
            refusal = refusal or f"{node.op_type} '{node.name}': {refused}"
            steps_back += 1
            back = _last_choice(nodes[: place + 1], tracing)
            if back is None or steps_back > _MOST_STEPS_BACK:
                return refusal
            for each in nodes[back : place + 1]:
                for value in each.outputs:
                    tracing.where.pop(value, None)
                if each is not nodes[back]:
                    tracing.chosen.pop(each, None)
            del tracing.edits[edits_before[nodes[back]] :]
            tracing.chosen[nodes[back]] += 1
            place = back
    return None


def _last_choice(nodes: Sequence[ir.Node], tracing: Tracing) -> int | None:
    """The last node that has another choice."""
    for place in reversed(range(len(nodes))):
        chosen = tracing.chosen.get(nodes[place])
        if chosen is not None and chosen + 1 < tracing.choices[nodes[place]]:
            return place
    return None


def _trace(node: ir.Node, tracing: Tracing) -> None:
    """Finds where a node's outputs have their examples."""
    read = [tracing.of(value) for value in read_by(node)]
    rules = RULES if any(isinstance(where, Rows) for where in read) else SIZE_RULES
    counts = any(isinstance(where, Sizes) and where.counts for where in read)
    rule = rules.get(node.op_type) if node.domain == "" else None
    if node.op_type == "Expand" and counts:
        rule = RULES["Expand"]
    if rules is SIZE_RULES and not counts:
        # of sizes that the batch has nothing to do with, which need not be known
        with contextlib.suppress(RefusedError, IndexError, ZeroDivisionError):
            where = None if rule is None else rule(node, tracing)
            if isinstance(where, Sizes):
                tracing.where[node.outputs[0]] = where
        return
    if rule is None:
        raise RefusedError("it is not known whether it mixes examples")
    where = rule(node, tracing)
    each = where if isinstance(where, list | tuple) else [where] * len(node.outputs)
    tracing.where.update(
        (value, place) for value, place in zip(node.outputs, each) if place is not None
    )


def _open(graph: ir.Graph, tracing: Tracing) -> None:
    for edit in tracing.edits:
        edit(graph)
    name = "batch"
    while any(name in _names(value) for value in tracing.where):
        name += "_"
    for value, where in tracing.where.items():
        if isinstance(where, Rows) and value.shape is not None:
            dims = list(value.shape)
            dims[where.axis] = ir.SymbolicDim(name if where.alone else None)
            value.shape = ir.Shape(dims)


def _names(value: ir.Value) -> list[str | None]:
    return [None if isinstance(dim, int) else dim.value for dim in value.shape or ()]
