"""Quantize-dequantize pairs as one operator that gradients pass, and real numbers for integer weights."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.quantization import (
    DOMAIN,
    FAKE_QUANTIZE,
    RANGES,
    Quantization,
    dequantized,
)
from svgd_onnx.transforms.rule import constant_value, input_of, integer
from svgd_onnx.transforms.stored_types import QUANTIZATION, STORED_AS, STORED_TENSOR


class FakeQuantization(ir.passes.InPlacePass):
    """Writes `ai.svgd::FakeQuantize` for QuantizeLinear and DequantizeLinear behind each other.

    Integer weights behind a lone DequantizeLinear become the real numbers that they stand for, which are
    quantized in the graph: what it gives is the same.

    Pairs whose scales differ or are computed, blocks, and types of fewer than 8 bits stay as they are.

    Requires: shapes and types are inferred.
    Ensures: the metadata of a weight says how the model as it came has it.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        modified = False
        for node in list(graph):
            x = _real(graph, node) if node.op_type == "DequantizeLinear" else None
            if x is not None:
                _write(graph, node, x)
                modified = True
        if modified:
            graph.opset_imports[DOMAIN] = 1
            for node in reversed(list(graph)):
                unread = not any(v.uses() or v.is_graph_output() for v in node.outputs)
                if node.op_type == "QuantizeLinear" and unread:
                    graph.remove(node, safe=True)
        return ir.passes.PassResult(model, modified)


def _real(graph: ir.Graph, node: ir.Node) -> ir.Value | None:
    """The real numbers that a DequantizeLinear gives quantized; None if it stays as it is."""
    integers = node.inputs[0]
    if integers is None or node.domain != "" or integers.dtype not in RANGES:
        return None
    if not _is_simple(node) or constant_value(node.inputs[1]) is None:
        return None
    quantizer = integers.producer()
    if quantizer is not None and quantizer.op_type == "QuantizeLinear":
        x = quantizer.inputs[0]
        fits = x is not None and x.dtype == ir.DataType.FLOAT and _is_simple(quantizer)
        return x if fits and _are_alike(quantizer, node) else None
    return _weight(graph, node, integers)


def _weight(graph: ir.Graph, node: ir.Node, integers: ir.Value) -> ir.Value | None:
    """The initializer of real numbers that takes the place of one of integers."""
    readers = [reader for reader, _ in integers.uses()]
    numbers = dequantized(node) if integers.is_initializer() else None
    tensor = integers.const_value
    if numbers is None or tensor is None or integers.is_graph_output() or integers.name is None:
        return None
    if any(each.op_type != "DequantizeLinear" or not _are_alike(each, node) for each in readers):
        return None
    del graph.initializers[integers.name]
    real = ir.val(integers.name, const_value=ir.tensor(numbers, name=integers.name))
    real.meta[STORED_AS] = tensor.dtype.name.lower()
    real.meta[STORED_TENSOR] = tensor
    real.meta[QUANTIZATION] = _quantization(node)
    graph.register_initializer(real)
    for reader in readers:
        if reader is not node:
            _write(graph, reader, real)
    return real


def _write(graph: ir.Graph, node: ir.Node, x: ir.Value) -> None:
    integers, output = node.inputs[0], node.outputs[0]
    assert integers is not None and integers.dtype is not None
    attributes = {"to": integers.dtype.value, "axis": integer(node, "axis", 1)}
    inputs = [x, node.inputs[1], input_of(node, 2)]
    fake = ir.node(FAKE_QUANTIZE, inputs, attributes, domain=DOMAIN, name=node.name)
    value = fake.outputs[0]
    value.name, value.type, value.shape = output.name, output.type, output.shape
    output.name = f"{output.name}/replaced"
    graph.insert_before(node, fake)
    output.replace_all_uses_with(value, replace_graph_outputs=True)
    graph.remove(node, safe=True)


def _quantization(node: ir.Node) -> Quantization:
    scale, zero = constant_value(node.inputs[1]), constant_value(input_of(node, 2))
    assert scale is not None
    zero_point = np.zeros(scale.shape, np.int64) if zero is None else zero.astype(np.int64)
    axis = integer(node, "axis", 1) if scale.size > 1 else None
    return Quantization(scale, zero_point, axis)


def _is_simple(node: ir.Node) -> bool:
    """Whether a quantization is by one scale, or one for each place of an axis, all constant."""
    zero = input_of(node, 2)
    return not integer(node, "block_size", 0) and (zero is None or constant_value(zero) is not None)


def _are_alike(node: ir.Node, other: ir.Node) -> bool:
    """Whether two nodes have the same scale, zero point and axis."""
    if integer(node, "axis", 1) != integer(other, "axis", 1):
        return False
    for position in (1, 2):
        one, two = input_of(node, position), input_of(other, position)
        numbers, others = constant_value(one), constant_value(two)
        if one is not two and (numbers is None or others is None or not _equal(numbers, others)):
            return False
    return True


def _equal(numbers: np.ndarray, others: np.ndarray) -> bool:
    return numbers.dtype == others.dtype and np.array_equal(numbers, others)
