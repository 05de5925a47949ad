"""Let T add up the rows of dY where a bias needs that: T reads all of dY anyway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx_ir as ir

from svgd_onnx.transforms.channels_last.layout import axes_of
from svgd_onnx.transforms.channels_last.reductions import read_by_sums_of_channels
from svgd_onnx.transforms.rule import RefusedError, integer, only_reader, rank
from svgd_onnx.transforms.virtualize.operator_t import SUMS_OUTPUT, ask_for, is_t
from svgd_onnx.transforms.writer import take_place


class SumsOfT(ir.passes.InPlacePass):
    """Takes the sums of dY over all axes but its last from T, where T reads dY too and runs first.

    That is the gradient of a bias, whose weight has T in its gradient. Sums that something reads before T runs
    stay as they are.

    Requires: the graph is sorted, and T is an operator of ours.
    Ensures: it is modified if a sum was taken from T.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        place = {node: index for index, node in enumerate(graph)}
        modified = False
        for node in [each for each in graph if _adds_up(each)]:
            assert node.inputs[0] is not None
            found = (sums for dy in _names_of(node.inputs[0]) for sums in _sums_of_rows(dy))
            sums = next((each for each in found if _is_read_behind(each, node, place)), None)
            if sums is not None:
                _take(node, sums)
                modified = True
        return ir.passes.PassResult(model, modified=modified)


def _adds_up(node: ir.Node) -> bool:
    """Whether a node is T in a form that adds up rows: r has dY's last axis, and dY is float32."""
    if not is_t(node) or node.inputs[0] is None:
        return False
    axes, dtype = rank(node.inputs[0]), node.inputs[0].dtype
    if axes is None or axes < 2 or dtype not in (None, ir.DataType.FLOAT):
        return False
    return integer(node, "channel_axis", axes - 1) == axes - 1


def _names_of(value: ir.Value | None) -> Iterator[ir.Value]:
    """A value, and what it is an Identity of."""
    while value is not None:
        yield value
        node = value.producer()
        value = node.inputs[0] if node is not None and node.op_type == "Identity" else None


def _sums_of_rows(gradient: ir.Value) -> Iterator[ir.Value]:
    """The sums of a value over all axes but its last, as vectors."""
    axes = rank(gradient)
    for node, _ in gradient.uses():
        if node.graph is not gradient.graph:
            continue  # what a body gives is made in it
        if node.op_type == "ReduceSum" and node.domain == "" and axes is not None:
            try:
                summed = axes_of(node, axes)
            except RefusedError:
                continue
            if sorted(summed) == list(range(axes - 1)) and not integer(node, "keepdims", 1):
                yield _handed_on(node.outputs[0])
        elif (sums := read_by_sums_of_channels(node)) is not None:
            yield _handed_on(sums)


def _handed_on(value: ir.Value) -> ir.Value:
    """A value, behind each Identity that alone reads it."""
    while (node := only_reader(value)) is not None and node.op_type == "Identity":
        value = node.outputs[0]
    return value


def _is_read_behind(sums: ir.Value, node: ir.Node, place: Mapping[ir.Node, int]) -> bool:
    """Whether a value is read, and all that reads it comes after a node, in the main graph."""
    if not sums.uses() and not sums.is_graph_output():
        return False  # taken already
    return all(place.get(reader, -1) > place[node] for reader, _ in sums.uses())


def _take(node: ir.Node, sums: ir.Value) -> None:
    """Has T give the sums. What gave them before reads dY no more."""
    taken = ask_for(node, SUMS_OUTPUT)
    take_place(taken, sums)
    sums.replace_all_uses_with(taken, replace_graph_outputs=True)
