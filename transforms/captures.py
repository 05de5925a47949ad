"""What the bodies of an If, a Loop or a Scan read of the graph around them."""

from __future__ import annotations

import onnx_ir as ir


def read_by(node: ir.Node) -> list[ir.Value | None]:
    """A node's inputs, and the outer values that its bodies read, which are among no node's inputs."""
    values: list[ir.Value | None] = list(node.inputs)
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            values += _captured(attribute.as_graph())
    return values


def _captured(body: ir.Graph) -> list[ir.Value]:
    inner = {*body.inputs, *body.initializers.values()}
    nodes = list(body)
    for node in nodes:
        inner.update(node.outputs)
    read = [value for node in nodes for value in read_by(node)] + list(body.outputs)
    return [value for value in read if value is not None and value not in inner]
