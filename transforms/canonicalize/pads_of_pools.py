"""Zeros that are padded before a pooling, as onnxruntime computes them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.rule import text
from svgd_onnx.transforms.writer import Writer

_POOLS = frozenset({"AveragePool", "MaxPool"})
_VALUE = 2


class PadsOfPools(ir.passes.InPlacePass):
    """Gives a Pad before MaxPool or AveragePool the number -0.

    onnxruntime's Pad_Fusion makes the pads of a Pad those of the pooling behind it, where that states its own
    and the number is 0: but those of MaxPool are of minus infinity, so that the largest number of a window at
    the border is one below 0; those of AveragePool are not counted; and a pooling whose pads are not smaller
    than its windows does not load. It goes by the bytes of the number, which are others of -0. So ResNet V2 of
    Keras pads, with no Relu before the MaxPool.

    Ensures: what is computed is the same.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        modified = False
        for node in all_nodes(model.graph):
            if node.op_type == "Pad" and not node.domain and _pads_with_zeros_for_a_pool(node):
                graph = node.graph
                assert isinstance(graph, ir.Graph)
                write = Writer(f"{node.outputs[0].name}/pad", model.graph.opset_imports[""])
                number = write.scalar(-0.0)
                write.insert_before(graph, node)
                if len(node.inputs) <= _VALUE:
                    node.resize_inputs(_VALUE + 1)
                node.replace_input_with(_VALUE, number)
                modified = True
        return ir.passes.PassResult(model, modified)


def _pads_with_zeros_for_a_pool(node: ir.Node) -> bool:
    x = node.inputs[0]
    if text(node, "mode", "constant") != "constant" or x is None or x.dtype != ir.DataType.FLOAT:
        return False
    if not any(after.op_type in _POOLS for after, _ in node.outputs[0].uses()):
        return False
    number = node.inputs[_VALUE] if len(node.inputs) > _VALUE else None
    if number is None:
        return True
    known = number.const_value
    return known is not None and not np.any(known.numpy())
