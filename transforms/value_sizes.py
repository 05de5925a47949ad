"""How large values are, as far as their shapes say."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import onnx_ir as ir

from svgd_onnx.errors import UserError
from svgd_onnx.transforms.bodies import values_of, with_bodies

# No step that people train has a value of more.
_MOST_BYTES = 1 << 33
# NumPy's arrays have no more, and what is done for each pair of axes ends.
_MOST_AXES = 64
# Their last input has a size for each axis.
_OF_SIZES = frozenset({"ConstantOfShape", "Expand", "Reshape"})
_UNKNOWN_TYPE = ir.DataType.FLOAT


def refuse_odd_sizes(graph: ir.Graph) -> None:
    """Refuses a graph with a value of a size that cannot be meant: negative, too large, of too many axes.

    Raises:
        UserError: names the value.
    """
    for each in _all_values(graph):
        if any(isinstance(dim, int) and dim < 0 for dim in each.shape or ()):
            raise UserError(
                f"The value '{each.name}' has the shape {each.shape}: export the model with sizes that go "
                "together."
            )
        axes = _axes(each)
        if axes > _MOST_AXES:
            raise UserError(
                f"The value '{each.name}' has {axes:,} axes: it may have {_MOST_AXES}; export the model with "
                "fewer."
            )
    value, size = largest_value(graph)
    if value is not None and size > _MOST_BYTES:
        node = value.producer()
        given = "an input" if node is None else f"of {node.op_type}"
        raise UserError(
            f"The value '{value.name}', {given}, has {size:,} bytes: it may have "
            f"{_MOST_BYTES:,}; export the model with smaller sizes."
        )


def _axes(value: ir.Value) -> int:
    """How many axes a value has, or sizes that it is made by; 0 if nothing tells."""
    if value.shape is not None:
        return len(value.shape)
    node = value.producer()
    if node is None or node.op_type not in _OF_SIZES:
        return 0
    vectors = [each.shape for each in node.inputs[-1:] if each is not None and each.shape]
    length = vectors[0][0] if vectors else 0
    return length if isinstance(length, int) else 0


def largest_value(graph: ir.Graph) -> tuple[ir.Value | None, int]:
    """The value of the most bytes, where open axes count for one, and how many; None of an empty graph."""
    found: tuple[ir.Value | None, int] = (None, 0)
    for value in _all_values(graph):
        size = size_in_bytes(value)
        if size > found[1]:
            found = (value, size)
    return found


def _all_values(graph: ir.Graph) -> Iterator[ir.Value]:
    for each in with_bodies(graph):
        yield from values_of(each)


def size_in_bytes(value: ir.Value) -> int:
    """How many bytes a value has, where open axes count for one."""
    dtype = value.dtype
    if dtype is None or dtype in (ir.DataType.STRING, ir.DataType.UNDEFINED):
        dtype = _UNKNOWN_TYPE
    elements = prod(int(dim) for dim in value.shape or () if isinstance(dim, int))
    return int(elements * dtype.bitwidth) // 8
