"""Undo the sharing of equal vectors that exporters introduce."""

from __future__ import annotations

import onnx_ir as ir


class SeparateVectors(ir.passes.InPlacePass):
    """Gives each Identity of a one-dimensional initializer an initializer of its own.

    PyTorch's exporter stores equal tensors once and hands out the others as Identity: in an untrained
    model the scales of all BatchNormalizations of one width. They are different parameters. A matrix
    that is shared this way (tied embeddings) stays shared.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        modified = False
        for node in list(graph):
            source = node.inputs[0] if node.op_type == "Identity" and node.domain == "" else None
            tensor = source.const_value if source is not None and source.is_initializer() else None
            output = node.outputs[0]
            if tensor is None or output.is_graph_output():
                continue
            if len(tensor.shape) <= 1:
                name, output.name = output.name, f"{output.name}/identity"
                own = ir.val(name, const_value=ir.tensor(tensor.numpy(), name=name))
                graph.register_initializer(own)
                output.replace_all_uses_with(own)
            else:
                assert source is not None
                output.replace_all_uses_with(source)
            graph.remove(node, safe=True)
            modified = True
        return ir.passes.PassResult(model, modified)
