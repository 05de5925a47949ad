"""Compute segments of the forward pass again in the backward pass, instead of keeping what they gave."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.recompute.forward_pass import ForwardPass, drops_again
from svgd_onnx.transforms.recompute.memory import owner
from svgd_onnx.transforms.recompute.merge_equal import MergeEqual
from svgd_onnx.transforms.recompute.segments import Segments, choose_segments
from svgd_onnx.transforms.rule import constant_value, input_of, inputs_of, only_reader
from svgd_onnx.transforms.writer import Writer, second_node


class Recompute(ir.passes.InPlacePass):
    """Lets the backward pass read copies of forward values, which are computed from what crosses cuts.

    A copy of a segment reads what was kept through a Reshape to its own shape plus 0, where the 0 is made of
    the gradient that the segment's backward pass begins with. It costs nothing, but no runtime can see that
    it is nothing: so equal nodes are not merged again, and none runs before that gradient is there.

    Args:
        inputs: names of the graph's inputs that hold a batch.

    Requires: a gradient graph, the loss among its outputs; shapes of forward values are known, or they count
        for nothing.
    Ensures: the same values; what draws at random, changes a state, or holds a graph is computed once.
    """

    def __init__(self, inputs: Collection[str]) -> None:
        super().__init__()
        self._inputs = inputs

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        MergeEqual()(model)
        forward = ForwardPass(graph, self._inputs)
        segments = choose_segments(forward)
        order = {node: place for place, node in enumerate(graph)}
        start = 0
        wanted: list[list[ir.Value]] = []
        for end in segments.ends[:-1]:
            wanted.append(_read_backwards(forward, segments, start, end))
            start = end
        # All that is read is found before any is changed.
        triggers = [_trigger(forward, values, order) for values in wanted]
        totals = _totals(graph, forward, segments)
        modified = False
        for index, (values, trigger) in enumerate(zip(wanted, triggers)):
            if values and trigger is not None:
                before = [trigger, *totals[index]]
                _Copies(graph, forward, segments, f"again_{index}", before).write(values)
                modified = True
        if modified:
            graph.sort()
            _keep_statistics(graph)
        return ir.passes.PassResult(model, modified)


def _keep_statistics(graph: ir.Graph) -> None:
    """Adds by Sum before a normalization that alone reads the sum, and whose mean and deviation are read.

    onnxruntime makes one node of Add and LayerNormalization, which has no such outputs (SkipLayerNormFusion; PR
    3543 there). Where nothing is recomputed, the normalization's gradient reads the sum too.
    """
    for node in graph:
        if (node.domain, node.op_type) != ("", "LayerNormalization"):
            continue
        (x,) = inputs_of(node, 1)
        before = x.producer()
        if before is None or (before.domain, before.op_type) != ("", "Add"):
            continue
        if only_reader(x) is node and any(value.uses() for value in node.outputs[1:]):
            before.op_type = "Sum"


def _read_backwards(
    forward: ForwardPass, segments: Segments, start: int, end: int
) -> list[ir.Value]:
    """Values of a segment that the backward pass reads and that are not kept."""
    return [
        value
        for node in forward.nodes[start:end]
        for value in node.outputs
        if value in forward.saved
        and not forward.is_kept(value)
        and not forward.is_input(value)
        and owner(value) not in segments.kept
    ]


def _trigger(
    forward: ForwardPass, values: Iterable[ir.Value], order: dict[ir.Node, int]
) -> ir.Value | None:
    """The gradient that the first node reads which reads one of some forward values, itself or a value of it.

    Nothing that this gradient is computed by reads such a value. None if it does not depend on the batch: what
    was made of it would be folded.
    """
    found: dict[ir.Node, None] = {}
    pending = [reader for value in values for reader in forward.saved[value]]
    seen = set(pending)
    while pending:
        node = pending.pop()
        if any(value in forward.gradients for value in node.inputs):
            found[node] = None
            continue
        for value in node.outputs:
            readers = {reader for reader, _ in value.uses()} - seen
            seen |= readers
            pending.extend(readers)
    if not found:
        return None
    first = min(found, key=order.__getitem__)
    gradient = next(value for value in first.inputs if value in forward.gradients)
    return gradient if forward.varies(gradient) else None


def _totals(graph: ir.Graph, forward: ForwardPass, segments: Segments) -> list[list[ir.Value]]:
    """For each segment, the sums of gradients that the segments behind it have a part in, as far as they go.

    A weight that all segments read has a part of its gradient from each. If those behind were added up only in
    the end, all that they are computed from would be kept until then.
    """
    segment_of: dict[ir.Node | None, int] = {}
    start = 0
    for index, end in enumerate(segments.ends):
        segment_of.update(dict.fromkeys(forward.nodes[start:end], index))
        start = end
    last = len(segments.ends) - 1
    # the first segment that a value of the backward pass waits for
    waits: dict[ir.Value | None, int] = {}
    totals: list[list[ir.Value]] = [[] for _ in segments.ends]
    for node in graph:
        if node in segment_of or not any(forward.varies(value) for value in node.inputs):
            continue
        read = [
            segment_of.get(value.producer(), last)
            if value in forward.saved
            else waits.get(value, last)
            for value in node.inputs
            if value is not None
        ]
        first = min(read, default=last)
        waits.update(dict.fromkeys(node.outputs, first))
        if node.op_type == "Add" and node.inputs[0] in forward.gradients:
            total = node.inputs[0]
            producer = total.producer() if total is not None else None
            if total is not None and producer is not None and producer.op_type == "Add":
                for index in range(first, waits.get(total, last)):
                    totals[index].append(total)
    return totals


class _Copies:
    """The copy of one segment.

    Args:
        graph: where it is written.
        forward: what it is a part of.
        segments: what is kept.
        prefix: what names of copies begin with.
        before: gradients that have to be there before anything is computed again.
    """

    def __init__(
        self,
        graph: ir.Graph,
        forward: ForwardPass,
        segments: Segments,
        prefix: str,
        before: Iterable[ir.Value],
    ) -> None:
        self._graph = graph
        self._forward = forward
        self._kept = segments.kept
        self._prefix = prefix
        self._write = Writer(prefix, graph.opset_imports[""])
        self._copies: dict[ir.Value, ir.Value] = {}
        self._nothing = self._write.node(
            "Mul", self._write.node("Sum", *map(self._number, before)), self._write.scalar(0)
        )
        self._nothing = self._write.cast(self._nothing, "int64")

    def _number(self, gradient: ir.Value) -> ir.Value:
        """0, or 1 where the gradient begins with what is not a number; (1,) float32."""
        flat = self._write.node("Reshape", gradient, self._write.integers(-1))
        first = self._write.node("Gather", flat, self._write.integers(0), axis=0)
        if gradient.dtype is None or not gradient.dtype.is_floating_point():
            first = self._write.cast(first, "float32")  # of sizes, which are whole numbers
        return self._write.cast(self._write.node("IsNaN", first), "float32")

    def write(self, values: Iterable[ir.Value]) -> None:
        """Computes some values again, and lets the backward pass read these."""
        values = list(values)
        for node in self._needed(values):
            self._copy(node)
        self._write.append_to(self._graph)
        for value in values:
            for reader in self._forward.saved[value]:
                for position, read in enumerate(reader.inputs):
                    if read is value:
                        reader.replace_input_with(position, self._copies[value])

    def _needed(self, values: Iterable[ir.Value]) -> list[ir.Node]:
        """The forward nodes between what is kept and some values, in order."""
        nodes: set[ir.Node] = set()
        pending = list(values)
        while pending:
            node = pending.pop().producer()
            if node is None or node in nodes:
                continue
            nodes.add(node)
            pending += [value for value in node.inputs if value is not None and self._again(value)]
        return sorted(nodes, key=self._forward.place.__getitem__)

    def _again(self, value: ir.Value) -> bool:
        """Whether a value that a copy reads is one itself."""
        forward = self._forward
        if not forward.varies(value) or value.producer() is None:
            return False
        if forward.is_input(value):
            return False
        return not forward.is_kept(value) and owner(value) not in self._kept

    def _copy(self, node: ir.Node) -> None:
        if drops_again(node):
            self._copies[node.outputs[0]] = self._dropped(node)
            return
        inputs = [None if value is None else self._read(value) for value in node.inputs]
        copy = second_node(node, inputs, self._prefix)
        for value, again in zip(node.outputs, copy.outputs):
            self._copies.setdefault(value, again)
        self._write.nodes.append(copy)

    def _dropped(self, node: ir.Node) -> ir.Value:
        """What Dropout gives, by what it dropped."""
        write, (x,) = self._write, inputs_of(node, 1)
        ratio = constant_value(input_of(node, 1))
        trains = constant_value(input_of(node, 2))
        drops = trains is not None and trains.any()
        rest = np.float32(1) - np.float32(0.5 if ratio is None else ratio) if drops else 1.0
        # in the order of onnxruntime's kernel
        whole = write.node("Div", self._read(x), write.scalar(float(rest)))
        result = write.node("Mul", whole, write.cast(node.outputs[1], "float32"))
        result.name = f"{self._prefix}/{node.outputs[0].name}"
        result.type, result.shape = node.outputs[0].type, node.outputs[0].shape
        return result

    def _read(self, value: ir.Value) -> ir.Value:
        """What a copy reads for a value."""
        forward = self._forward
        if value in self._copies:
            return self._copies[value]
        if not forward.varies(value) or (value.producer() is not None and forward.is_small(value)):
            return value
        shape = self._write.node("Add", self._write.node("Shape", value), self._nothing)
        barrier = self._write.node("Reshape", value, shape, allowzero=1)
        barrier.type, barrier.shape = value.type, value.shape
        self._copies[value] = barrier
        return barrier
