"""Keep values with channels last between convolutions, which operators of ours then are."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir
from onnx_ir.passes import common

from svgd_onnx.transforms.channels_last.convolutions import CONVOLUTIONS
from svgd_onnx.transforms.channels_last.elementwise import ELEMENTWISE
from svgd_onnx.transforms.channels_last.layout import (
    FEWEST_AXES,
    Last,
    Layout,
    Rule,
    rearranged,
    to_second,
)
from svgd_onnx.transforms.channels_last.movement import MOVEMENT
from svgd_onnx.transforms.channels_last.normalizations import NORMALIZATIONS
from svgd_onnx.transforms.channels_last.pooling import POOLING
from svgd_onnx.transforms.channels_last.reductions import REDUCTIONS
from svgd_onnx.transforms.channels_last.virtual_gradient import VIRTUAL_GRADIENT
from svgd_onnx.transforms.known_shapes import infer_shapes
from svgd_onnx.transforms.rule import RefusedError, known_rank, static_shape, table
from svgd_onnx.transforms.virtualize.operator_t import DOMAIN, VERSION
from svgd_onnx.transforms.writer import Writer, take_place

RULES: dict[str, Rule] = table(
    ELEMENTWISE,
    MOVEMENT,
    REDUCTIONS,
    NORMALIZATIONS,
    POOLING,
    VIRTUAL_GRADIENT,
    CONVOLUTIONS,
)


class ChannelsLast(ir.passes.InPlacePass):
    """Replaces convolutions and their gradients by operators of ours, and keeps values in their layout.

    A node has a form for channels last where there is a rule for its operator. It gets that form if it is of
    a convolution, if something that it reads is there with channels last, or if all that reads it is of a
    convolution or on the way to one. Values are transposed where one form is there and the other is read,
    once. A rule that refuses leaves the node as it is.

    Requires: the graph is sorted; T is not written with standard operators yet.
    Ensures: it is modified if a convolution was replaced, and else as good as it was.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        infer_shapes(model)
        outputs = [value.name for value in graph.outputs]
        layout = Layout()
        gone: set[ir.Node] = set()
        wanted = _wanted(graph)
        replaced = False
        for node in list(graph):
            if node in layout.absorbed:
                gone.add(node)
            elif _takes_part(node, layout, wanted) and _rewrite(graph, node, layout):
                gone.add(node)
                replaced |= node.op_type in CONVOLUTIONS
        _put_back(graph, layout, gone)
        graph.remove(gone, safe=True)
        assert [value.name for value in graph.outputs] == outputs
        common.RemoveUnusedNodesPass()(model)
        graph.opset_imports[DOMAIN] = VERSION
        return ir.passes.PassResult(model, modified=replaced)


def with_channels_last(model: ir.Model) -> ir.Model | None:
    """A copy of a training graph that has gone through `ChannelsLast`; None where it has no convolution."""
    if not any(node.op_type in CONVOLUTIONS for node in model.graph):
        return None
    copy = model.clone()
    return copy if ChannelsLast()(copy).modified else None


def _wanted(graph: ir.Graph) -> set[ir.Node]:
    """Convolutions, and nodes all of whose readers are that, or on the way to one, or behind one."""
    wanted = {node for node in graph if node.op_type in CONVOLUTIONS}
    behind = set(wanted)
    for node in graph:
        if node.op_type in RULES and any(
            value is not None and _is_image(value) and value.producer() in behind
            for value in node.inputs
        ):
            behind.add(node)
    for node in reversed(list(graph)):
        readers = [reader for reader, _ in node.outputs[0].uses()]
        if (
            node.op_type in RULES
            and readers
            and not node.outputs[0].is_graph_output()
            and _is_image(node.outputs[0])
            and all(reader in wanted or reader in behind for reader in readers)
        ):
            wanted.add(node)
    return wanted


def _is_image(value: ir.Value) -> bool:
    return value.shape is not None and len(value.shape) >= FEWEST_AXES


def _takes_part(node: ir.Node, layout: Layout, wanted: Collection[ir.Node]) -> bool:
    return node.op_type in RULES and (
        node in wanted or any(layout.has_last(value) for value in node.inputs)
    )


def _rewrite(graph: ir.Graph, node: ir.Node, layout: Layout) -> bool:
    """Writes a node with channels last; whether its rule could."""
    layout.begin(f"{node.outputs[0].name or node.name}/channels_last", graph.opset_imports[""])
    try:
        written = RULES[node.op_type](node, layout)
        for old, new in zip(node.outputs, written):
            if isinstance(new, Last):
                known_rank(old)  # by which it is put back where others read it
    except RefusedError:
        layout.withdraw()
        return False
    layout.write.insert_before(graph, node)
    for old, new in zip(node.outputs, written):
        if new is None or not old.name:
            continue
        if isinstance(new, Last):
            layout.set_last(old, new.value)
        else:
            take_place(new.value, old)
            old.replace_all_uses_with(new.value, replace_graph_outputs=True)
    return True


def _put_back(graph: ir.Graph, layout: Layout, gone: Collection[ir.Node]) -> None:
    """Transposes what is read as ONNX has it, too, before its first reader."""
    place = {node: index for index, node in enumerate(graph)}
    for value, form in list(layout.forms()):
        if value.producer() not in gone:
            continue
        readers = [(node, index) for node, index in value.uses() if node not in gone]
        if not readers and not value.is_graph_output():
            continue
        rank = known_rank(value)
        write = Writer(f"{value.name}/channels_second", graph.opset_imports[""])
        second = rearranged(write, form, static_shape(form, 1), to_second(rank))
        own = [node for node, _ in readers]
        if value.is_graph_output() or not all(node in place for node in own):
            last = form.producer()
            assert last is not None
            write.insert_after(graph, last)
        else:
            write.insert_before(graph, min(own, key=place.__getitem__))
        take_place(second, value)
        for node, index in readers:
            node.replace_input_with(index, second)
        if value.is_graph_output():
            value.replace_all_uses_with(second, replace_graph_outputs=True)
