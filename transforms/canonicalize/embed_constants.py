"""Hold in memory what stays in a graph and lies in a file beside the model."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from svgd_onnx.transforms.bodies import with_bodies


class EmbedConstants(ir.passes.InPlacePass):
    """Reads constants that are kept in external data.

    Parameters leave the graph and are read when the checkpoint is written. What else an exporter put
    beside the model, integers and masks, would in the artifacts still point at the user's file.

    Args:
        parameters: names of initializers of the graph that are left where they are.

    Ensures: no other initializer and no Constant node, in inner graphs and functions either, is in external
        data.
    """

    def __init__(self, parameters: Collection[str]) -> None:
        super().__init__()
        self._parameters = frozenset(parameters)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        outer = [model.graph, *(each.graph for each in model.functions.values())]
        for graph in (each for main in outer for each in with_bodies(main)):
            for name, value in graph.initializers.items():
                tensor = value.const_value
                kept = graph is model.graph and name in self._parameters
                if isinstance(tensor, ir.ExternalTensor) and not kept:
                    value.const_value = ir.Tensor(tensor.numpy().copy(), name=name)
                    tensor.release()
                    modified = True
            modified |= _embed_attributes(graph)
        return ir.passes.PassResult(model, modified)


def _embed_attributes(graph: ir.Graph) -> bool:
    """Reads the tensors of Constant nodes."""
    modified = False
    for node in graph:
        for name, attribute in list(node.attributes.items()):
            tensor = attribute.value
            if attribute.type == ir.AttributeType.TENSOR and isinstance(tensor, ir.ExternalTensor):
                embedded = ir.Tensor(tensor.numpy().copy(), name=tensor.name)
                node.attributes[name] = ir.AttrTensor(name, embedded)
                modified = True
    return modified
