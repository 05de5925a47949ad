"""The way back through some nodes: from the gradient of a value to those of what it is computed from."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

import onnx_ir as ir

from svgd_onnx.transforms.bodies import read_by
from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule
from svgd_onnx.transforms.names import gradient_name
from svgd_onnx.transforms.rule import RefusedError
from svgd_onnx.transforms.writer import Writer

# Parts of a gradient that are added by one node.
_MOST_SUMMED = 4


class BackwardPass:
    """Gradient nodes, written from a value down.

    Args:
        rules: of the operators on the way.
        flowing: the values on the way.
        opset: version of the default domain.
        put: takes what has been written for a node.
        prefix: what names begin with, where another pass goes through the same nodes.
    """

    def __init__(
        self,
        rules: Mapping[str, GradientRule],
        flowing: Collection[ir.Value | None],
        opset: int,
        put: Callable[[Writer], None],
        prefix: str = "",
    ) -> None:
        self._rules = rules
        self._flowing = flowing
        self._opset = opset
        self._put = put
        self._prefix = prefix
        self._parts: dict[ir.Value, list[ir.Value]] = defaultdict(list)
        self._whole: dict[ir.Value, ir.Value | None] = {}
        self._named: set[ir.Value] = set()

    def start(self, value: ir.Value, gradient: ir.Value) -> None:
        """Begins at a value whose gradient is there."""
        self._named.add(gradient)
        self._whole[value] = gradient

    def gradient(self, value: ir.Value) -> ir.Value | None:
        """The gradient of a value, all parts of which have been written; None if nothing comes back."""
        if value not in self._whole:
            self._whole[value] = self._of_its_own(value, self.total(value))
        return self._whole[value]

    def total(self, value: ir.Value) -> ir.Value | None:
        """The sum of what has come back to a value; it may be another's gradient too."""
        parts = self._parts.pop(value, [])
        if len(parts) < 2:
            return parts[0] if parts else None
        write = self._writer(f"{self._name(value)}/sum")
        if len(parts) > _MOST_SUMMED:
            # one by one, so that not all have to be there at once: a weight of 200 steps has 200
            whole = functools.reduce(lambda total, part: write.node("Add", total, part), parts)
        else:
            whole = write.node("Sum", *parts)
        whole.type, whole.shape = value.type, value.shape
        self._put(write)
        return whole

    def differentiate(self, node: ir.Node) -> None:
        """Writes the gradients of what a node reads.

        Raises:
            RefusedError: the node's rule cannot.
        """
        gradients = tuple(self.gradient(value) for value in node.outputs)
        if all(gradient is None for gradient in gradients):
            return
        read = read_by(node)
        wanted = self._wanted(node, gradients[0], [value in self._flowing for value in read])
        if not any(wanted):
            return
        write = self._writer(f"{self._prefix}{node.outputs[0].name or node.name}/backward")
        try:
            found = self._rule(node)(Backward(node, gradients, wanted, write, self._rules))
        except RefusedError:
            write.withdraw()
            raise
        self._put(write)
        for value, gradient in zip(read, found):
            if value is not None and gradient is not None and value in self._flowing:
                if gradient.shape is None:
                    gradient.type, gradient.shape = value.type, value.shape
                self._parts[value].append(gradient)

    def _wanted(
        self, node: ir.Node, dy: ir.Value | None, flowing: Sequence[bool]
    ) -> tuple[bool, ...]:
        """Which of the values that a node reads want their gradient from it."""
        return tuple(flowing)

    def _rule(self, node: ir.Node) -> GradientRule:
        return self._rules[node.op_type]

    def _of_its_own(self, value: ir.Value, whole: ir.Value | None) -> ir.Value | None:
        """The gradient under its name: one gradient for two values is two, each with a name."""
        if whole is None:
            return None
        name = self._name(value)
        if whole in self._named:
            write = self._writer(f"{name}/sum")
            whole = write.node("Identity", whole)
            self._put(write)
        self._named.add(whole)
        whole.name, whole.type, whole.shape = name, value.type, value.shape
        return whole

    def _name(self, value: ir.Value) -> str:
        return f"{self._prefix}{gradient_name(value.name or '')}"

    def _writer(self, prefix: str) -> Writer:
        return Writer(prefix, self._opset)
