"""How many bytes a tensor has by its type and shape, and whether a model holds as many."""

from __future__ import annotations

from math import prod

import onnx
import onnx_ir as ir

from svgd_onnx.errors import UserError

_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
# An element is two entries of a field.
_COMPLEX = (onnx.TensorProto.COMPLEX64, onnx.TensorProto.COMPLEX128)
# More than any memory.
_MOST = 1 << 48


def size_in_bytes(tensor: onnx.TensorProto, name: str) -> int:
    """Its bytes, as they would lie in a file.

    Raises:
        UserError: it is of no type that has any, its shape is none, or no memory holds it.
    """
    try:
        bits = ir.DataType(tensor.data_type).bitwidth
    except (ValueError, TypeError):
        raise UserError(f"{name} is of a type that has no numbers: export it again.") from None
    if any(size < 0 for size in tensor.dims):
        raise UserError(f"{name} has a negative size: export it again.")
    size: int = (prod(tensor.dims) * bits + 7) // 8
    if size > _MOST:
        raise UserError(f"{name} has the shape {tuple(tensor.dims)}, which no memory holds.")
    return size


def check_data(tensor: onnx.TensorProto, name: str) -> None:
    """Checks that a tensor in the model has the numbers that its shape says.

    Raises:
        UserError: it has others.
    """
    if tensor.data_type in (onnx.TensorProto.STRING, onnx.TensorProto.UNDEFINED):
        return
    wanted = size_in_bytes(tensor, name)
    if tensor.HasField("raw_data"):
        right = len(tensor.raw_data) == wanted
    else:
        held = sum(len(getattr(tensor, field)) for field in _FIELDS)
        elements = prod(tensor.dims) * (2 if tensor.data_type in _COMPLEX else 1)
        right = held == elements or wanted == held < elements  # packed, of fewer than eight bits
    if not right:
        raise UserError(
            f"{name} has the shape {tuple(tensor.dims)}, and not the numbers for it: export it again."
        )
