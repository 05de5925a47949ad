"""What QuantizeLinear and DequantizeLinear say: real numbers are scale * (integers - zero point)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.rule import constant_value, input_of, integer

# Types that hold quantized numbers; of others only what DequantizeLinear reads.
_NAMES = """INT2 UINT2 INT4 UINT4 INT8 UINT8 FLOAT4E2M1
    FLOAT8E4M3FN FLOAT8E4M3FNUZ FLOAT8E5M2 FLOAT8E5M2FNUZ FLOAT8E8M0"""
QUANTIZED_TYPES = frozenset(
    getattr(ir.DataType, name) for name in _NAMES.split() if hasattr(ir.DataType, name)
)

QUANTIZING = frozenset({"DynamicQuantizeLinear", "QuantizeLinear"})

# Operator -> its inputs that are scales.
_SCALES: dict[str, frozenset[int]] = {
    "DequantizeLinear": frozenset({1}),
    "MatMulNBits": frozenset({2}),
    "QLinearConv": frozenset({1, 4, 6}),
    "QLinearMatMul": frozenset({1, 4, 6}),
    "QuantizeLinear": frozenset({1}),
}


def is_dequantizing(node: ir.Node) -> bool:
    """Whether a node gives the real numbers of quantized ones."""
    if node.domain != "" or not node.inputs or node.inputs[0] is None:
        return False
    if node.op_type == "Cast":
        to_real = ir.DataType(node.attributes["to"].as_int()).is_floating_point()
        return to_real and node.inputs[0].dtype in QUANTIZED_TYPES
    return node.op_type == "DequantizeLinear"


def scales_quantized_numbers(node: ir.Node, position: int) -> bool:
    """Whether an input of a node is the scale of quantized numbers."""
    if position in _SCALES.get(node.op_type, ()):
        return True
    if node.op_type != "Mul" or node.domain != "":
        return False
    other = node.inputs[1 - position]
    producer = None if other is None else other.producer()
    if producer is None:
        return False
    # as onnxruntime writes dynamic quantization, and as others write DequantizeLinear out
    return producer.op_type == "DynamicQuantizeLinear" or is_dequantizing(producer)


def dequantized(node: ir.Node) -> np.ndarray | None:
    """What a node that dequantizes constants gives, float32; None if not all of them are constant."""
    numbers = constant_value(node.inputs[0])
    if numbers is None:
        return None
    if node.op_type == "Cast":
        return numbers.astype(np.float32)
    scale, zero = constant_value(node.inputs[1]), constant_value(input_of(node, 2))
    if scale is None or (zero is None and input_of(node, 2) is not None):
        return None
    shape = numbers.shape
    if zero is not None:
        integers = numbers.astype(np.int64) if numbers.dtype.kind in "iu" else numbers
        numbers = integers - spread(zero, shape, node).astype(integers.dtype)
    real = numbers.astype(np.float32) * spread(scale, shape, node).astype(np.float32)
    return np.asarray(real, np.float32)


def spread(numbers: np.ndarray, shape: Sequence[int], node: ir.Node) -> np.ndarray:
    """A scale or zero point in a shape that broadcasts to that of the numbers it is of."""
    if numbers.size == 1:
        return numbers.reshape(())
    axis = integer(node, "axis", 1) % len(shape)
    block = integer(node, "block_size", 0)
    if block:
        return np.repeat(numbers, block, axis)[tuple(slice(size) for size in shape)]
    return numbers.reshape([-1 if place == axis else 1 for place in range(len(shape))])
