"""Constants that bodies of control flow read of the graph around them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import onnx_ir as ir

from svgd_onnx.transforms.bodies import all_bodies

# Axes, bounds and sizes have no more; weights do.
_LONGEST = 64


@contextmanager
def outer_constants(model: ir.Model) -> Iterator[None]:
    """Gives bodies integers of their own in place of those outside, as long as it lasts.

    onnx's shape inference knows the type and shape of what a body reads from outside, but not its
    numbers: where an axis or a size is read so, nothing would be known of what comes after.
    """
    replaced: list[tuple[ir.Node, int, ir.Value]] = []
    for number, body in enumerate(all_bodies(model.graph)):
        own: dict[ir.Value, ir.Value] = {}
        for node in body:
            for position, value in enumerate(node.inputs):
                if value is None or value.graph is body or not _is_constant(value):
                    continue
                if value not in own:
                    own[value] = _copy(value, f"{value.name}/{number}")
                    body.register_initializer(own[value])
                node.replace_input_with(position, own[value])
                replaced.append((node, position, value))
    try:
        yield
    finally:
        for node, position, value in replaced:
            copy = node.inputs[position]
            node.replace_input_with(position, value)
            if copy is not None and copy.graph is not None and not copy.uses():
                copy.graph.initializers.pop(copy.name or "")


def _is_constant(value: ir.Value) -> bool:
    tensor = value.const_value
    if tensor is None or not value.is_initializer() or value.is_graph_input():
        return False
    return tensor.size <= _LONGEST and tensor.dtype.is_integer()


def _copy(value: ir.Value, name: str) -> ir.Value:
    tensor = value.const_value
    assert tensor is not None
    return ir.val(name, const_value=ir.tensor(tensor.numpy(), name=name))
