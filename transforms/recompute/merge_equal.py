"""Nodes of the backward pass that compute what the forward pass has."""

from __future__ import annotations

from collections.abc import Hashable

import onnx_ir as ir

from svgd_onnx.transforms.rule import constant_value

# Elements of a constant that is compared by its values: axes, shapes, factors.
_FEW = 64


class MergeEqual(ir.passes.InPlacePass):
    """Lets readers of a node that is equal to an earlier one read that.

    Runtimes do it too (common subexpression elimination). What they would merge has to be known before it is
    decided what the backward pass keeps.

    Ensures: no two nodes of one output are equal.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        first: dict[Hashable, ir.Node] = {}
        outputs = set(graph.outputs)
        merged = []
        for node in graph:
            key = _key(node)
            if key is None or node.outputs[0] in outputs:
                continue
            earlier = first.setdefault(key, node)
            if earlier is not node:
                node.outputs[0].replace_all_uses_with(earlier.outputs[0])
                merged.append(node)
        graph.remove(merged, safe=True)
        return ir.passes.PassResult(model, bool(merged))


def _key(node: ir.Node) -> Hashable:
    """The same for equal nodes; None for one that is not to be merged."""
    if node.domain != "" or len(node.outputs) != 1 or node.op_type.startswith("Random"):
        return None
    attributes = []
    for attribute in node.attributes.values():
        if attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
            return None
        value = attribute.value
        if attribute.type == ir.AttributeType.TENSOR:
            value = (str(value.dtype), tuple(value.shape.numpy()), value.tobytes())
        attributes.append((attribute.name, tuple(value) if isinstance(value, list) else value))
    return (
        node.op_type,
        tuple(sorted(attributes, key=lambda item: item[0])),
        tuple(map(_identity, node.inputs)),
    )


def _identity(value: ir.Value | None) -> Hashable:
    if value is None or value.const_value is None or value.const_value.size > _FEW:
        return value
    array = constant_value(value)
    assert array is not None
    return (str(array.dtype), array.shape, array.tobytes())
