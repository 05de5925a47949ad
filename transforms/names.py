"""What gradients are called, and how values get other names."""

from __future__ import annotations

import onnx_ir as ir

# Metadata of a graph input: that it is what the loss compares the prediction with, and no input of the model.
LABEL = "svgd.label"


def gradient_name(value: str) -> str:
    """The name of the gradient of a value, as onnxruntime's gradient builder gives it too."""
    return f"{value}_grad"


def rename(value: ir.Value, name: str) -> None:
    """Gives a value another name, and leaves the tensors of a model that a user holds as they are."""
    tensor = value.const_value
    if isinstance(tensor, ir.serde.TensorProtoTensor):
        value.const_value = ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=name)
    value.name = name
