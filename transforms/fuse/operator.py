"""What rules write that make one operator of ours of a node."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from svgd_onnx.transforms.rule import RefusedError
from svgd_onnx.transforms.virtualize.operator_t import DOMAIN
from svgd_onnx.transforms.writer import Attributes, Writer


def operator(
    write: Writer,
    op_type: str,
    inputs: Sequence[ir.Value],
    attributes: Attributes | None = None,
    outputs: int = 1,
) -> Sequence[ir.Value]:
    """A node of an operator of ours, all of whose tensors are float32.

    Raises:
        RefusedError: an input is of another type.
    """
    for value in inputs:
        if value.dtype not in (None, ir.DataType.FLOAT):
            raise RefusedError(f"it is of {value.dtype}")
    return write.nodes_with(op_type, inputs, attributes or {}, outputs, DOMAIN)
