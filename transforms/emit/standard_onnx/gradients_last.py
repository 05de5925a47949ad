"""The order of nodes, by which onnxruntime decides what to compute first."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.gradient_values import gradient_values


class GradientsLast(ir.passes.InPlacePass):
    """Puts the nodes that read gradients behind all others.

    onnxruntime goes from the outputs, the last first, to what they read, and of what a node reads to what
    stands last in the graph first. What a node of the backward pass reads besides a gradient (a mask, a
    slice of what the forward pass kept) is then computed when the gradient is there, not kept while all that
    leads to that is computed.

    Requires: the graph is sorted.
    Ensures: it still is; among those that read gradients, and among the others, the order is what it was.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        values = gradient_values(graph)
        last = [node for node in graph if any(value in values for value in node.outputs)]
        graph.remove(last)
        graph.extend(last)
        return ir.passes.PassResult(model, modified=bool(last))
