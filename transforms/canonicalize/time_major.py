"""Recurrent layers whose first axis is the batch, with time first."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.rule import apply_rule, attributes_of, input_of, integer
from svgd_onnx.transforms.writer import Writer

_RECURRENT = frozenset({"GRU", "LSTM", "RNN"})
# X, and the states before the first step.
_WITH_BATCH = (0, 5, 6)


class TimeMajor(ir.passes.InPlacePass):
    """Writes layout 1 of GRU, LSTM and RNN as layout 0 between transpositions.

    onnxruntime runs no other (1.32).

    Ensures: none of them has an attribute `layout`.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        for node in list(all_nodes(model.graph)):
            if node.op_type not in _RECURRENT or node.domain != "":
                continue
            if integer(node, "layout", 0):
                assert isinstance(node.graph, ir.Graph)
                node.graph.opset_imports.setdefault("", model.graph.opset_imports[""])
                modified |= apply_rule(node.graph, node, _time_major)
            else:
                node.attributes.pop("layout", None)
        return ir.passes.PassResult(model, modified)


def _time_major(node: ir.Node, write: Writer) -> Sequence[ir.Value]:
    """(N, T, ...) as (T, N, ...), states (N, D, H) as (D, N, H), and the outputs back."""
    inputs = [input_of(node, place) for place in range(len(node.inputs))]
    for place in _WITH_BATCH:
        value = input_of(node, place)
        if value is not None:
            inputs[place] = write.node("Transpose", value, perm=[1, 0, 2])
    attributes = attributes_of(node)
    del attributes["layout"]
    hidden, *last = write.nodes_with(node.op_type, inputs, attributes, len(node.outputs))
    return [
        write.node("Transpose", hidden, perm=[2, 0, 1, 3]),
        *(write.node("Transpose", state, perm=[1, 0, 2]) for state in last),
    ]
