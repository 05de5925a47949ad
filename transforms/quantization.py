"""What QuantizeLinear and DequantizeLinear say: real numbers are scale * (integers - zero point)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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

DOMAIN = "ai.svgd"
FAKE_QUANTIZE = "FakeQuantize"
"""x, scale, zero point -> x quantized `to` a type and dequantized again, per tensor or along `axis`."""

PRODUCT_OF_BITS = "MatMulNBits"
"""onnxruntime's product with a matrix of 2 to 8 bits, in blocks that each have a scale."""

# The integers of each type that real numbers are quantized to; of int32 no real number is beyond.
RANGES = {
    ir.DataType.INT8: (-128, 127),
    ir.DataType.UINT8: (0, 255),
    ir.DataType.INT16: (-(2**15), 2**15 - 1),
    ir.DataType.UINT16: (0, 2**16 - 1),
    ir.DataType.INT32: (-(2**31), 2**31 - 1),
}

FROZEN, STRAIGHT_THROUGH = "frozen", "straight-through"
QUANTIZED_CHOICES = (FROZEN, STRAIGHT_THROUGH)

# Operator -> its inputs that are scales.
_SCALES: dict[str, frozenset[int]] = {
    FAKE_QUANTIZE: frozenset({1}),
    "DequantizeLinear": frozenset({1}),
    "MatMulNBits": frozenset({2}),
    "QLinearConv": frozenset({1, 4, 6}),
    "QLinearMatMul": frozenset({1, 4, 6}),
    "QuantizeLinear": frozenset({1}),
}


@dataclass(frozen=True)
class Quantization:
    """How a tensor is quantized.

    Attributes:
        scale: float32, one number or one for each place of an axis.
        zero_point: integers, of the scale's shape.
        axis: that axis; None for one number.
    """

    scale: np.ndarray
    zero_point: np.ndarray
    axis: int | None


def is_fake_quantization(node: ir.Node) -> bool:
    """Whether a node quantizes and dequantizes."""
    return node.op_type == FAKE_QUANTIZE and node.domain == DOMAIN


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
