"""What a graph computes from its initializers alone, and what carries data."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from svgd_onnx.transforms.rearrangements import REARRANGEMENTS

# Their outputs say how large something is, and nothing of what it holds.
_OF_SIZES = frozenset({"Shape", "Size"})
# No gradient passes them.
_STEPS = frozenset(
    {"ArgMax", "ArgMin", "Ceil", "ConstantOfShape", "Floor", "Round", "Shape", "Sign", "Size"}
)

# By a fixed matrix they make vectors of integers, as a table does.
_PRODUCTS = frozenset({"Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul"})
PERIODIC = frozenset({"Cos", "Sin"})
# Between a product of positions and frequencies, and the cosines of it.
_BEFORE_WAVES = REARRANGEMENTS | {"Cast", "Concat", "Expand", "Mul"}


class DataFlow:
    """Where the values of a graph come from.

    Args:
        graph: in its order, shapes and types inferred.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._fixed: set[ir.Value] = set(graph.initializers.values())
        self._data: set[ir.Value] = set()
        for value in graph.inputs:
            if value.dtype is None or value.dtype.is_floating_point():
                self._data.add(value)
        for node in graph:
            inputs = [value for value in node.inputs if value is not None]
            if inputs and all(value in self._fixed for value in inputs) and not _has_bodies(node):
                self._fixed.update(node.outputs)
            elif any(value in self._data for value in inputs) and node.op_type not in _OF_SIZES:
                self._data.update(node.outputs)
            elif (node.op_type == "Gather" and inputs[0] in self._fixed) or _has_bodies(node):
                self._data.update(node.outputs)  # a row of a table for each number
            elif self._is_learned_product(node, inputs) and not feeds_waves(node.outputs[0]):
                self._data.update(node.outputs)  # integers as they are, or in ones and zeros

    def _is_learned_product(self, node: ir.Node, inputs: list[ir.Value]) -> bool:
        return node.op_type in _PRODUCTS and any(value in self._fixed for value in inputs)

    def is_fixed(self, value: ir.Value | None) -> bool:
        """Whether a value is computed from initializers alone."""
        return value in self._fixed

    def carries_data(self, value: ir.Value | None) -> bool:
        """Whether a value depends on numbers of the data, rather than on sizes and positions.

        Whatever is computed in the body of a control flow operator is said to.
        """
        return value in self._data or (value is not None and value.graph is not self._graph)

    def uses(self, value: ir.Value) -> Iterator[tuple[ir.Node, int, list[ir.Node]]]:
        """The operations that take a value, or what is computed from it and other initializers.

        Returns:
            The node, the input it takes it as, and the nodes before it on the way from the value.
        """
        seen: set[ir.Node] = set()
        waiting: list[tuple[ir.Value, list[ir.Node]]] = [(value, [])]
        while waiting:
            current, way = waiting.pop()
            for node, position in current.uses():
                output = node.outputs[0]
                if output not in self._fixed:
                    yield node, position, way
                elif node not in seen and node.op_type not in _STEPS and _is_float(output):
                    seen.add(node)
                    waiting.append((output, [*way, node]))


def feeds_waves(value: ir.Value) -> bool:
    """Whether a value goes into nothing but Sin and Cos."""
    waiting, found = [value], False
    while waiting:
        for after, _ in waiting.pop().uses():
            if after.op_type in PERIODIC:
                found = True
            elif after.op_type in _BEFORE_WAVES:
                waiting.append(after.outputs[0])
            elif after.op_type != "Shape":
                return False
    return found


def _is_float(value: ir.Value) -> bool:
    return value.dtype is None or value.dtype.is_floating_point()


def _has_bodies(node: ir.Node) -> bool:
    return any(attribute.type == ir.AttributeType.GRAPH for attribute in node.attributes.values())
