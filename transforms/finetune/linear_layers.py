"""Layers that are linear in a weight, in a model as it came, and where that weight is stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.quantization import PRODUCT_OF_BITS, QUANTIZED_TYPES
from svgd_onnx.transforms.rule import integer
from svgd_onnx.transforms.stored_tensors import tensor_of

MATRIX, CONVOLUTION, BITS = "matrix", "convolution", "bits"
_KINDS = {
    ("", "Gemm"): MATRIX,
    ("", "MatMul"): MATRIX,
    ("", "Conv"): CONVOLUTION,
    ("com.microsoft", PRODUCT_OF_BITS): BITS,
}


@dataclass(frozen=True)
class LinearLayer:
    """One product with a weight.

    Attributes:
        node: it.
        weight: the initializer, or output of a Constant, in which the weight is stored.
        kind: "matrix", "convolution", or "bits" for a product with a matrix of a few bits.
        shape: (inputs, outputs) of a matrix; (outputs, inputs of a group, kernel...) of a convolution.
        transposed: whether a matrix is stored as (outputs, inputs).
        quantized: whether it is stored in integers.
        dtype: of the real numbers that the layer computes with.
    """

    node: ir.Node
    weight: ir.Value
    kind: str
    shape: tuple[int, ...]
    transposed: bool
    quantized: bool
    dtype: ir.DataType

    @property
    def name(self) -> str:
        """The weight's name."""
        return self.weight.name or ""

    @property
    def fan_in(self) -> int:
        """How many products one output adds up."""
        inputs = self.shape[:1] if self.kind != CONVOLUTION else self.shape[1:]
        return int(np.prod(inputs))

    @property
    def outputs(self) -> int:
        """How many channels it gives."""
        return self.shape[0] if self.kind == CONVOLUTION else self.shape[1]


def linear_layer(node: ir.Node) -> LinearLayer | None:
    """A node as a layer with a stored weight as its second input; None if it is none."""
    kind = _KINDS.get((node.domain, node.op_type))
    if kind is None or len(node.inputs) < 2:
        return None
    stored = _stored(node.inputs[1])
    if stored is None:
        return None
    weight, sizes, turned, dtype = stored
    quantized = weight.dtype in QUANTIZED_TYPES or (
        weight.dtype is not None and not weight.dtype.is_floating_point()
    )
    if kind == BITS:
        scales = node.inputs[2]
        sizes = (integer(node, "K", 0), integer(node, "N", 0))
        dtype = None if scales is None else scales.dtype
        turned, quantized = False, True
    elif kind == MATRIX:
        if len(sizes) != 2:
            return None
        # sizes are as stored
        turned ^= node.op_type == "Gemm" and bool(integer(node, "transB", 0))
        sizes = sizes[::-1] if turned else sizes
    elif len(sizes) < 3 or turned:
        return None
    if dtype is None or not dtype.is_floating_point():
        return None
    return LinearLayer(node, weight, kind, sizes, turned, quantized, dtype)


def reads_sizes(node: ir.Node, position: int) -> bool:
    """Whether a node takes nothing of an input but its sizes or type."""
    return node.domain == "" and (
        node.op_type in ("Shape", "Size") or (node.op_type == "CastLike" and position == 1)
    )


def hands_on_weight(node: ir.Node) -> bool:
    """Whether a node gives a stored weight on: turned, in another type, or as real numbers."""
    if node.domain != "":
        return False
    if node.op_type == "Transpose":
        order = node.attributes.get("perm")
        return order is None or list(order.as_ints()) == [1, 0]
    return node.op_type in ("Cast", "DequantizeLinear", "Identity")


def readers_of(weight: ir.Value) -> Iterator[ir.Node]:
    """What takes a stored weight, as it is or handed on, and more of it than sizes."""
    for reader, position in weight.uses():
        if position == 0 and hands_on_weight(reader):
            yield from readers_of(reader.outputs[0])
        elif not reads_sizes(reader, position):
            yield reader


def _stored(
    value: ir.Value | None,
) -> tuple[ir.Value, tuple[int, ...], bool, ir.DataType | None] | None:
    """The stored weight behind a value, its sizes there, whether it is turned, and the value's type."""
    turned, dtype = False, None
    while value is not None:
        tensor = tensor_of(value)
        if tensor is not None:
            sizes = tuple(int(size) for size in tensor.shape.numpy())
            if turned and len(sizes) != 2:
                return None
            return value, sizes, turned, dtype or tensor.dtype
        node = value.producer()
        if node is None or not hands_on_weight(node):
            return None
        turned ^= node.op_type == "Transpose"
        if dtype is None and node.op_type == "Cast":
            dtype = ir.DataType(node.attributes["to"].as_int())
        if dtype is None and node.op_type == "DequantizeLinear":
            scale = node.inputs[1]
            dtype = None if scale is None else _type_of(scale)
        value = node.inputs[0]
    return None


def _type_of(value: ir.Value) -> ir.DataType | None:
    tensor = tensor_of(value)
    return value.dtype if tensor is None else tensor.dtype
