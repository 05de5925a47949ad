"""Write out a Loop whose state does not keep its shape from turn to turn."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.bodies import body_of, name_apart, remove, values_of
from svgd_onnx.transforms.canonicalize.loop_states import keeps_its_shape
from svgd_onnx.transforms.rule import constant_value, input_of
from svgd_onnx.transforms.writer import Writer

# More would be a graph that nobody wants to load.
_MOST_TURNS = 256


class Unroll(ir.passes.InPlacePass):
    """Writes the turns of a Loop one after another, where they are known and a state changes its shape.

    Such a state has no gradient as long as it is in a Loop: onnxruntime keeps what all turns give in one
    tensor. Other loops stay.

    Requires: shapes inferred.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        for node in model.graph:
            turns = _turns(node) if node.op_type == "Loop" and node.domain == "" else None
            if turns is not None:
                _write_out(model.graph, node, turns)
                modified = True
        if modified:
            name_apart(model.graph)
        return ir.passes.PassResult(model, modified)


def _turns(node: ir.Node) -> int | None:
    """How many turns a Loop makes, if that is constant and one of its states changes its shape."""
    body = body_of(node)
    if all(keeps_its_shape(state) for state in body.inputs[2:]):
        return None
    most, goes_on = constant_value(input_of(node, 0)), input_of(node, 1)
    if most is None or most.item() > _MOST_TURNS:
        return None
    condition = body.outputs[0]
    while (giver := condition.producer()) is not None and giver.op_type in ("Identity", "Cast"):
        first = giver.inputs[0]
        assert first is not None
        condition = first
    for value in (goes_on, None if condition is body.inputs[1] else condition):
        known = constant_value(value)
        if value is not None and (known is None or not known.item()):
            return None
    return int(most.item())


def _write_out(graph: ir.Graph, node: ir.Node, turns: int) -> None:
    states = [value for value in node.inputs[2:] if value is not None]
    stacks: list[list[ir.Value]] = [[] for _ in range(len(node.outputs) - len(states))]
    write = Writer(f"{node.outputs[0].name}/unrolled", graph.opset_imports[""])
    for turn in range(turns):
        given = [write.integer(turn), write.constant(np.array(True)), *states]
        results = _copy(graph, node, turn, given, write)
        states = results[: len(states)]
        for stack, value in zip(stacks, results[len(states) :]):
            stack.append(write.node("Unsqueeze", value, write.integers(0)))
    joined = [write.node("Concat", *stack, axis=0) for stack in stacks if stack]
    write.insert_before(graph, node)
    for old, new in zip(node.outputs, [*states, *joined]):
        if old.is_graph_output():
            given_by = ir.node("Identity", [new], name=f"{old.name}/unrolled")
            output, name = given_by.outputs[0], old.name
            output.type, output.shape, old.name = old.type, old.shape, f"{name}/replaced"
            output.name = name
            graph.insert_before(node, given_by)
            new = output
        old.replace_all_uses_with(new, replace_graph_outputs=True)
    remove(graph, node)


def _copy(
    graph: ir.Graph, node: ir.Node, turn: int, given: list[ir.Value], write: Writer
) -> list[ir.Value]:
    """Adds the nodes of one turn; returns the outputs of the body but the first."""
    body = body_of(node).clone(allow_outer_scope_values=True)
    suffix = f"/turn_{turn}"
    for value in list(values_of(body)):
        value.name = f"{value.name}{suffix}"
    for inner, value in zip(body.inputs, given):
        inner.replace_all_uses_with(value)
    outputs = list(body.outputs)[1:]
    body.outputs.clear()
    write.constants += list(body.initializers.values())
    body.initializers.clear()
    nodes = list(body)
    for each in nodes:
        body.remove(each)
        each.name = f"{each.name}{suffix}"
        for value in each.outputs:
            value.shape = None
    write.nodes += nodes
    return outputs
