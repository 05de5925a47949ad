"""Leave only what the loss needs."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.bodies import remove_unread


class KeepOnlyLoss(ir.passes.InPlacePass):
    """Makes the loss the only output, and takes out the nodes that nothing reads any more.

    Requires: the loss is the first output.
    Ensures: there is one output, and every node leads to it.
    """

    def requires(self, model: ir.Model) -> None:
        if not model.graph.outputs:
            raise ir.passes.PreconditionError("the graph has no output")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        loss, *others = graph.outputs
        graph.outputs.clear()
        graph.outputs.append(loss)
        removed = remove_unread(graph)
        return ir.passes.PassResult(model, modified=removed or bool(others))

    def ensures(self, model: ir.Model) -> None:
        if len(model.graph.outputs) != 1 or not all(_is_read(node) for node in model.graph):
            raise ir.passes.PostconditionError("something is left that the loss does not need")


def _is_read(node: ir.Node) -> bool:
    return any(value.uses() or value.is_graph_output() for value in node.outputs)
