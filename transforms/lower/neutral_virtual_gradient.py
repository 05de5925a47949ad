"""T without effect, so that the gradients of a step can be held against its loss."""

from __future__ import annotations

from collections.abc import Collection

import onnx_ir as ir

from svgd_onnx.transforms.virtualize.operator_t import is_t

# s / sqrt(r + epsilon) is 1 to float32's precision, for all r that are not astronomical.
_SCALE, _EPSILON = 1e15, 1e30
# From r to T's factor, as `PortableVirtualGradient` writes it: rho r + ..., + epsilon, s / sqrt(...)
_PORTABLE = ("Mul", "Add", "Add", "Sqrt", "Div")


class NeutralVirtualGradient(ir.passes.InPlacePass):
    """Makes T(dY) = dY, whichever T, and leaves all that T stands between as it is.

    Args:
        states: the names of r, which are graph inputs.

    Requires: T is as `VirtualGradient` or `PortableVirtualGradient` writes it.
    """

    def __init__(self, states: Collection[str]) -> None:
        super().__init__()
        self._states = frozenset(states)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        nodes = [node for node in graph if is_t(node)]
        for node in nodes:
            node.attributes["scale"] = ir.AttrFloat32("scale", _SCALE)
            node.attributes["epsilon"] = ir.AttrFloat32("epsilon", _EPSILON)
        fused = {node.inputs[1] for node in nodes}
        for value in graph.inputs:
            if value.name in self._states and value not in fused:
                factor = _factor(value)
                factor.replace_input_with(0, factor.inputs[1])
        return ir.passes.PassResult(model, modified=bool(self._states))


def _factor(state: ir.Value) -> ir.Node:
    """The division s / sqrt(r + epsilon)."""
    value, node = state, None
    for op_type in _PORTABLE:
        node = next(user for user, _ in value.uses() if user.op_type == op_type)
        value = node.outputs[0]
    assert node is not None
    return node
