"""How much memory values take, and what of it they share."""

from __future__ import annotations

from math import prod

import onnx_ir as ir

# Taken for an axis of unknown size. Sizes are only compared, and almost all have the same open axis.
_OPEN_AXIS = 32

# Operators whose output is the input's memory, under another shape.
VIEWS = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})


def nbytes(value: ir.Value) -> int:
    """The size of a value in bytes; 0 if nothing is known of its shape."""
    if value.shape is None:
        return 0
    width = 4 if value.dtype is None else max(1, int(value.dtype.itemsize))
    return width * prod(dim if isinstance(dim, int) else _OPEN_AXIS for dim in value.shape)


def owner(value: ir.Value) -> ir.Value:
    """The value whose memory this one is."""
    node = value.producer()
    while node is not None and node.op_type in VIEWS and node.domain == "":
        source = node.inputs[0]
        assert source is not None
        value, node = source, source.producer()
    return value
