"""Recurrent layers of which nothing is trained, as onnxruntime's gradient builder leaves them."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.bodies import take_out
from svgd_onnx.transforms.writer import take_place

# What records for a gradient that nobody asks for, and what does not, with the number of its outputs.
_OF_RECORDING = {"GRUTraining": ("GRU", 2), "LSTMTraining": ("LSTM", 3)}


class FrozenRecurrent(ir.passes.InPlacePass):
    """Puts the operators of the model back, whose kernels know both directions.

    Requires: recurrent layers that are differentiated have been written with others.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph, modified = model.graph, False
        for node in list(graph):
            if node.op_type not in _OF_RECORDING:
                continue
            op_type, outputs = _OF_RECORDING[node.op_type]
            attributes = list(node.attributes.values())
            plain = ir.Node(
                "", op_type, node.inputs, attributes, num_outputs=outputs, name=node.name
            )
            graph.insert_before(node, plain)
            for new, old in zip(plain.outputs, node.outputs):
                if old.name:
                    take_place(new, old)
                    old.replace_all_uses_with(new, replace_graph_outputs=True)
                else:
                    new.name = ""
            take_out(graph, node)
            modified = True
        return ir.passes.PassResult(model, modified)
