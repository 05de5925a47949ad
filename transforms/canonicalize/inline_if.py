"""Take the branch of an If whose condition is constant."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.bodies import all_nodes, body_of, remove
from svgd_onnx.transforms.rule import constant_value


class InlineIf(ir.passes.InPlacePass):
    """Replaces each If of a constant condition by the nodes of the branch that it takes.

    Ensures: no condition of an If is an initializer.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        while (node := _decided(model.graph)) is not None:
            _inline(node)
            modified = True
        return ir.passes.PassResult(model, modified)

    def ensures(self, model: ir.Model) -> None:
        if _decided(model.graph) is not None:
            raise ir.passes.PostconditionError("the condition of an If is constant")


def _decided(graph: ir.Graph) -> ir.Node | None:
    for node in all_nodes(graph):
        if node.op_type == "If" and node.domain == "":
            condition = node.inputs[0]
            known = condition is not None and condition.is_initializer()
            if condition is not None and known and not condition.is_graph_input():
                return node
    return None


def _inline(node: ir.Node) -> None:
    graph = node.graph
    condition = constant_value(node.inputs[0])
    assert isinstance(graph, ir.Graph) and condition is not None
    branch = body_of(node, "then_branch" if bool(condition.reshape(-1)[0]) else "else_branch")
    prefix = node.name or node.outputs[0].name
    taken, outputs = list(branch), list(branch.outputs)
    constants = list(branch.initializers.values())
    branch.outputs.clear()
    branch.initializers.clear()
    for inner in taken:
        branch.remove(inner)
        inner.name = f"{prefix}/{inner.name}"
        for value in inner.outputs:
            if value.name:
                value.name = f"{prefix}/{value.name}"
    for constant in constants:
        if constant.name in graph.initializers:
            constant.name = f"{prefix}/{constant.name}"
        graph.register_initializer(constant)
    graph.insert_before(node, taken)
    for old, new in zip(node.outputs, outputs):
        if old.is_graph_output():
            # its name and shape are the graph's
            identity = ir.node("Identity", [new], name=f"{prefix}/{old.name}")
            identity.outputs[0].type, identity.outputs[0].shape = old.type, old.shape
            name, old.name = old.name, f"{old.name}/replaced"
            identity.outputs[0].name = name
            graph.insert_before(node, identity)
            new = identity.outputs[0]
        old.replace_all_uses_with(new, replace_graph_outputs=True)
    remove(graph, node)
