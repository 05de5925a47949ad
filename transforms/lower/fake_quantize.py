"""`ai.svgd::FakeQuantize` with the standard's operators: QuantizeLinear, then DequantizeLinear."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.quantization import DOMAIN, is_fake_quantization, spread
from svgd_onnx.transforms.rule import (
    apply_rule,
    fixed_sizes,
    input_of,
    inputs_of,
    integer,
    known_constant,
)
from svgd_onnx.transforms.writer import Writer

# In the metadata of the node that gives what is quantized and dequantized.
STRAIGHT_THROUGH = "svgd.straight_through"


class LowerFakeQuantize(ir.passes.InPlacePass):
    """Takes `FakeQuantize` out, once it has been differentiated, or where nothing is.

    Ensures: none is left.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        nodes = [node for node in model.graph if is_fake_quantization(node)]
        for node in nodes:
            apply_rule(model.graph, node, _standard)
        if nodes and not any(node.domain == DOMAIN for node in all_nodes(model.graph)):
            model.graph.opset_imports.pop(DOMAIN, None)
        return ir.passes.PassResult(model, modified=bool(nodes))


def _standard(node: ir.Node, write: Writer) -> ir.Value:
    result = _quantized(node, write)
    write.nodes[-1].metadata_props[STRAIGHT_THROUGH] = "1"
    return result


def _quantized(node: ir.Node, write: Writer) -> ir.Value:
    x, scale = inputs_of(node, 2)
    numbers = known_constant(scale, "its scale is")
    dtype = ir.DataType(integer(node, "to", 0))
    if dtype == ir.DataType.INT32:
        # which QuantizeLinear does not give
        step = write.constant(spread(numbers, fixed_sizes(x), node).astype(np.float32))
        return write.node("Mul", write.node("Round", write.node("Div", x, step)), step)
    zero = input_of(node, 2)
    if zero is None:
        zero = write.constant(np.zeros(numbers.shape, dtype.numpy()))
    axis = {"axis": integer(node, "axis", 1)} if numbers.size > 1 else {}
    integers = write.node("QuantizeLinear", x, scale, zero, **axis)
    integers.dtype = dtype
    integers.shape = x.shape
    return write.node("DequantizeLinear", integers, scale, zero, **axis)
