"""Give every reader of a transposed or reshaped parameter a copy of the rearrangement."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from svgd_onnx.transforms.rearrangements import hands_on


class SeparateRearrangements(ir.passes.InPlacePass):
    """Doubles rearrangements of parameters until each has one reader.

    Exporters transpose a weight once and use the result twice. With a copy for each reader, each use
    of the parameter can be told from the others.

    Args:
        parameters: names of trainable graph inputs.

    Ensures: the output of a rearrangement of a parameter has one use.
    """

    def __init__(self, parameters: Collection[str]) -> None:
        super().__init__()
        self._parameters = set(parameters)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        modified = False
        # readers first: a doubled reader doubles what it reads in turn
        for node in reversed(self._rearrangements(graph)):
            for index, (reader, position) in enumerate(list(node.outputs[0].uses())[1:], start=1):
                copy = ir.Node(
                    node.domain,
                    node.op_type,
                    node.inputs,
                    list(node.attributes.values()),
                    name=f"{node.name}/copy_{index}",
                    version=node.version,
                )
                output = node.outputs[0]
                copy.outputs[0].name = f"{output.name}/copy_{index}"
                copy.outputs[0].type, copy.outputs[0].shape = output.type, output.shape
                graph.insert_after(node, copy)
                reader.replace_input_with(position, copy.outputs[0])
                modified = True
        return ir.passes.PassResult(model, modified)

    def ensures(self, model: ir.Model) -> None:
        for node in self._rearrangements(model.graph):
            if len(node.outputs[0].uses()) > 1:
                raise ir.passes.PostconditionError(f"'{node.outputs[0].name}' has several readers")

    def _rearrangements(self, graph: ir.Graph) -> list[ir.Node]:
        """The nodes that rearrange a parameter, rearranged before or not."""
        rearranged = {value for value in graph.inputs if value.name in self._parameters}
        nodes = []
        for node in graph:
            if hands_on(node, 0) and node.inputs and node.inputs[0] in rearranged:
                rearranged.add(node.outputs[0])
                nodes.append(node)
        return nodes
