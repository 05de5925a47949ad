"""Bodies of control flow in one form: names of their own, weights outside, no shapes that are only claimed."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.bodies import all_bodies, all_nodes, bodies_of, name_apart, values_of
from svgd_onnx.transforms.rearrangements import REARRANGEMENTS


class BodyForm(ir.passes.InPlacePass):
    """Lifts what may be a weight, and what only rearranges one, from bodies to the main graph.

    Exporters declare shapes in bodies that are not so (a scalar, for a branch's output of any shape),
    and use names once in each of two branches.

    Ensures: no body has a floating-point initializer; names of values and nodes occur once; every body
        knows the opsets; of values that nodes in bodies give none has a shape.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        if not any(bodies_of(node) for node in graph):
            return ir.passes.PassResult(model, modified=False)
        name_apart(graph)
        for body in all_bodies(graph):
            body.opset_imports.update(graph.opset_imports)
            _give_outputs(body)
            for value in list(body.initializers.values()):
                if value.dtype is not None and value.dtype.is_floating_point():
                    _lift(value, graph)
            for node in body:
                for value in node.outputs:
                    value.shape = None
        _lift_rearrangements(graph)
        return ir.passes.PassResult(model, modified=True)

    def ensures(self, model: ir.Model) -> None:
        bodies = all_bodies(model.graph)
        names = [value.name for graph in (model.graph, *bodies) for value in values_of(graph)]
        if bodies and len(names) != len(set(names)):
            raise ir.passes.PostconditionError("two values have one name")


def _give_outputs(body: ir.Graph) -> None:
    """An initializer that is a body's output, which no outer value can be, is given by an Identity."""
    for index, value in enumerate(body.outputs):
        if value.is_initializer():
            node = ir.node("Identity", [value], name=f"{value.name}/given")
            node.outputs[0].name = f"{value.name}/given"
            node.outputs[0].type = value.type
            body.append(node)
            body.outputs[index] = node.outputs[0]


def _lift(value: ir.Value, graph: ir.Graph) -> None:
    """Moves an initializer from where it is to another graph."""
    if value.graph is not graph:
        assert isinstance(value.graph, ir.Graph) and value.name is not None
        del value.graph.initializers[value.name]
        graph.register_initializer(value)


def _lift_rearrangements(graph: ir.Graph) -> None:
    for outer in list(graph):
        for body in bodies_of(outer):
            for node in list(all_nodes(body)):
                moves = node.op_type in REARRANGEMENTS and node.domain == ""
                known = all(
                    value is not None and _is_outside(value, graph) for value in node.inputs
                )
                if moves and known and not node.outputs[0].is_graph_output():
                    assert node.graph is not None
                    for value in node.inputs:
                        if value is not None and value.is_initializer():
                            _lift(value, graph)
                    node.graph.remove(node)
                    graph.insert_before(outer, node)


def _is_outside(value: ir.Value, graph: ir.Graph) -> bool:
    """Whether a value is an initializer, or one that is rearranged in the main graph."""
    node = value.producer()
    if node is None:
        return value.is_initializer()
    moves = node.op_type in REARRANGEMENTS and node.domain == "" and node.graph is graph
    return moves and all(each is not None and _is_outside(each, graph) for each in node.inputs)
