"""Quantized weights that are to be trained, as the real numbers that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import onnx_ir as ir

from svgd_onnx.transforms.quantization import dequantized, is_dequantizing

# In the metadata of an initializer: the name of the quantized one that it was computed from.
DEQUANTIZED_FROM = "svgd.dequantized_from"


class DequantizedWeights(ir.passes.InPlacePass):
    """Replaces what dequantizes a constant by a float32 initializer, where that is asked for.

    All other quantized weights stay as they are, in what is exported too.

    Args:
        train: globs for names, of the constant or of what it becomes.

    Ensures: the metadata of a new initializer says which one it was computed from.
    """

    def __init__(self, train: Sequence[str]) -> None:
        super().__init__()
        self._train = train

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        for node in list(model.graph) if self._train else ():
            if is_dequantizing(node) and self._is_asked_for(node):
                numbers = dequantized(node)
                if numbers is not None:
                    _replace(model.graph, node, ir.tensor(numbers, name=node.outputs[0].name))
                    modified = True
        return ir.passes.PassResult(model, modified)

    def _is_asked_for(self, node: ir.Node) -> bool:
        if node.outputs[0].is_graph_output():
            return False
        names = [value.name or "" for value in (node.inputs[0], node.outputs[0]) if value]
        return any(fnmatchcase(name, glob) for name in names for glob in self._train)


def _replace(graph: ir.Graph, node: ir.Node, tensor: ir.TensorProtocol) -> None:
    source, output = node.inputs[0], node.outputs[0]
    assert source is not None
    real = ir.val(output.name, const_value=tensor)
    real.meta[DEQUANTIZED_FROM] = source.name
    output.replace_all_uses_with(real)
    graph.remove(node, safe=True)
    graph.register_initializer(real)
