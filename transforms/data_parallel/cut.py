"""Cut a step into pieces where values are summed over ranks."""

from __future__ import annotations

import json
from collections.abc import Sequence

import onnx
import onnx_ir as ir

from svgd_onnx.step_names import PIECE
from svgd_onnx.transforms.bodies import read_by
from svgd_onnx.transforms.canonicalize.infer_shapes import InferShapes
from svgd_onnx.transforms.data_parallel.all_reduce import DOMAIN, is_all_reduce, weight_of
from svgd_onnx.transforms.data_parallel.replicated import Replicated
from svgd_onnx.transforms.rule import static_shape
from svgd_onnx.transforms.writer import Writer


def cut(model: ir.Model, own: Sequence[str]) -> list[onnx.ModelProto]:
    """The pieces of a step, to be run one after another.

    A value that a later piece reads is an output of the one that computes it, and an input of the other, of one
    name. Between, those are summed over ranks that a piece's metadata lists under `PIECE`: {"reduced":
    [[output, input of later pieces, weight, shape], ...], "kept": [output of the whole step, ...]}.

    Each node is in the first piece that it may be in, as a rank's examples go through all at once; but in the
    last, if it computes the same on all ranks, so that nothing of that is handed on.

    Args:
        model: the step; it is not to be used afterwards.
        own: the inputs that differ from rank to rank.
    """
    graph = model.graph
    _separate(graph)
    InferShapes()(model)
    stages = _stages(graph, own)
    whole = ir.serde.serialize_model(model)
    return [_piece(graph, whole, stages, stage) for stage in range(max(stages.values()) + 1)]


def _separate(graph: ir.Graph) -> None:
    """Lets nothing but the mark read what is summed, so that it may be summed where it lies."""
    kept = set(graph.outputs)
    for node in [node for node in graph if is_all_reduce(node)]:
        value, total = node.inputs[0], node.outputs[0]
        assert value is not None
        if len(value.uses()) > 1 or value in kept or value.producer() is None:
            write = Writer(f"{value.name}/own", graph.opset_imports[""])
            copy = write.node("Identity", value)
            copy.type, copy.shape = value.type, value.shape
            write.insert_before(graph, node)
            node.replace_input_with(0, copy)
        if total in kept:
            write = Writer(f"{total.name}/kept", graph.opset_imports[""])
            copy = write.node("Identity", total)
            total.name, copy.name = f"{total.name}/total", total.name
            copy.type, copy.shape = total.type, total.shape
            write.insert_after(graph, node)
            position = list(graph.outputs).index(total)
            graph.outputs[position] = copy


def _stages(graph: ir.Graph, own: Sequence[str]) -> dict[ir.Node, int]:
    """The number of each node's piece; of a mark that of the piece after which it sums."""
    stages: dict[ir.Node, int] = {}
    there: dict[ir.Value, int] = {}
    for node in graph:
        stage = max(
            (there.get(value, 0) for value in read_by(node) if value is not None), default=0
        )
        stages[node] = stage
        there.update(dict.fromkeys(node.outputs, stage + is_all_reduce(node)))
    last = max(there.values(), default=0)
    alike = Replicated(graph, own).values
    wanted: dict[ir.Value, int] = {}
    for node in reversed(list(graph)):
        if not is_all_reduce(node) and all(value in alike for value in node.outputs):
            stages[node] = min((wanted.get(value, last) for value in node.outputs), default=last)
        for value in read_by(node):
            if value is not None:
                wanted[value] = min(wanted.get(value, last), stages[node])
    return stages


def _piece(
    graph: ir.Graph, whole: onnx.ModelProto, stages: dict[ir.Node, int], stage: int
) -> onnx.ModelProto:
    places = [
        place
        for place, node in enumerate(graph)
        if stages[node] == stage and not is_all_reduce(node)
    ]
    nodes = list(graph)
    here = [nodes[place] for place in places]
    made = {value for node in here for value in node.outputs}
    read = dict.fromkeys(value for node in here for value in read_by(node) if value is not None)
    constants = [value for value in read if value.is_initializer()]
    names = {value.name for value in constants}
    inputs = [value for value in read if value not in made and value.name not in names]
    later = {value for node, other in stages.items() if other > stage for value in read_by(node)}
    reduced = [node for node in nodes if is_all_reduce(node) and node.inputs[0] in made]
    totals = {node.inputs[0] for node in reduced}
    kept = [value for value in graph.outputs if value in made]
    carried = [value for node in here for value in node.outputs if value in later]
    outputs = list(dict.fromkeys([*kept, *carried, *(each for each in made if each in totals)]))
    piece = onnx.helper.make_model(
        onnx.helper.make_graph(
            [whole.graph.node[place] for place in places],
            f"{whole.graph.name or 'step'}.{stage + 1}",
            [ir.serde.serialize_value(_typed(value)) for value in inputs],
            [ir.serde.serialize_value(_typed(value)) for value in outputs],
            [each for each in whole.graph.initializer if each.name in names],
        ),
        opset_imports=[each for each in whole.opset_import if each.domain != DOMAIN],
        ir_version=whole.ir_version,
    )
    facts = {
        "reduced": [
            [node.inputs[0].name, node.outputs[0].name, weight_of(node), _sizes(node.outputs[0])]
            for node in reduced
            if node.inputs[0] is not None
        ],
        "kept": [value.name for value in kept],
    }
    onnx.helper.set_model_props(piece, {PIECE: json.dumps(facts)})
    return piece


def _typed(value: ir.Value) -> ir.Value:
    """A value with a type: what is not known is of our own operators, which give float32."""
    if value.type is None:
        value.dtype = ir.DataType.FLOAT
    return value


def _sizes(value: ir.Value) -> list[int]:
    sizes = static_shape(value)
    if sizes is None:
        raise ir.passes.PassError(f"the shape of '{value.name}', which is summed, is not fixed")
    return list(sizes)
