"""The tensors that a model as it came has stored: as initializers, or in Constant nodes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir


def tensor_of(value: ir.Value) -> ir.TensorProtocol | None:
    """What is stored under a value: of an initializer, or in a Constant node."""
    if value.is_initializer():
        return value.const_value
    node = value.producer()
    if node is None or node.op_type != "Constant" or "value" not in node.attributes:
        return None
    return node.attributes["value"].as_tensor()


def store(value: ir.Value, array: np.ndarray) -> None:
    """Stores other numbers under a value, in the type of those that are there."""
    before = tensor_of(value)
    assert before is not None
    numbers = array.astype(before.dtype.numpy())
    tensor = ir.Tensor(numbers, dtype=before.dtype, name=value.name)
    value.type, value.shape = ir.TensorType(before.dtype), ir.Shape(numbers.shape)
    node = value.producer()
    if node is None:
        value.const_value = tensor
    else:
        node.attributes["value"] = ir.AttrTensor("value", tensor)
