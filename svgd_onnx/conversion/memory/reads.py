"""What a node reads, with what its bodies read of the graph around it."""

from __future__ import annotations

import onnx


def reads(node: onnx.NodeProto) -> list[str]:
    """The names of a node's inputs, then of the values around it that its bodies read."""
    return [*node.input, *dict.fromkeys(name for body in _bodies(node) for name in _around(body))]


def _bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    graph = onnx.AttributeProto.GRAPH
    return [attribute.g for attribute in node.attribute if attribute.type == graph]


def _around(body: onnx.GraphProto) -> list[str]:
    own = {value.name for value in (*body.input, *body.initializer)}
    own.update(name for node in body.node for name in node.output)
    read = [name for node in body.node for name in reads(node)]
    read += [value.name for value in body.output]
    return [name for name in read if name not in own]
