"""Descent that tells whether its gradient was finite, so that the loss need not read the gradient for it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import onnx_ir as ir

from svgd_onnx.transforms.emit.finite_loss import PREFIX
from svgd_onnx.transforms.emit.update import Group
from svgd_onnx.transforms.fast_operators import DESCENT, FINITE_LOSS
from svgd_onnx.transforms.virtualize import DOMAIN
from svgd_onnx.transforms.writer import Writer

# Of a gradient's numbers: what is smaller may be kept.
_LARGE = 1 << 18


class FiniteUpdates:
    """Writes descents after `FiniteLoss`.

    What the loss reads of a gradient is kept until all gradients are there, which are as much memory as the
    parameters. So the loss reads in place of it what a descent says of it, and a descent that says nothing gets
    a rate that is NaN where the gradient is not finite: onnxruntime then looks at the gradient before it
    descends, and nothing keeps it any longer.

    Args:
        graph: its loss is a check's.
        fast: whether operators of ours may be used.
        frees: whether no gradient is kept for something else.
    """

    def __init__(self, graph: ir.Graph, *, fast: bool, frees: bool) -> None:
        self._fast = fast
        self._check: ir.Node | None = None
        self._sizes: dict[ir.Value, ir.Value] = {}
        self._told: dict[ir.Value, ir.Value] = {}
        for node in graph if frees else ():
            first = node.inputs[0] if node.inputs else None
            if first is None or not (node.name or "").startswith(f"{PREFIX}/"):
                continue
            if node.op_type == FINITE_LOSS:
                self._check = node
            elif node.op_type == "ReduceL1":
                self._sizes[first] = node.outputs[0]

    def descent(
        self,
        write: Writer,
        group: Group,
        parameter: ir.Value,
        rate: ir.Value,
        direction: ir.Value,
        *,
        straight: bool,
    ) -> ir.Value:
        """parameter - rate * direction

        Args:
            write: where to.
            group: the parameters.
            parameter: these as one tensor.
            rate: float32 scalar.
            direction: of the parameter's shape.
            straight: whether it is the gradients as they are.
        """
        read = self._read(group.gradients)
        if self._fast and straight and read:
            new, size = write.nodes_with(DESCENT, [parameter, rate, direction], {}, 2, DOMAIN)
            self._told.update(dict.fromkeys(read, size))
            return new
        for gradient in group.gradients:
            if _is_large(gradient):
                rate = self._checked(write, rate, gradient)
        if self._fast:
            return write.nodes_with(DESCENT, [parameter, rate, direction], {}, 1, DOMAIN)[0]
        return write.node("Sub", parameter, write.node("Mul", rate, direction))

    def finish(self, graph: ir.Graph) -> None:
        """Has the loss read what descents have told; what does stands behind them."""
        check = self._check
        if check is None or not self._told:
            return
        inputs = dict.fromkeys(
            value if value is None else self._told.get(value, value) for value in check.inputs
        )
        graph.remove(check)
        check.resize_inputs(len(inputs))
        for place, value in enumerate(inputs):
            check.replace_input_with(place, value)
        graph.append(check)

    def _checked(self, write: Writer, rate: ir.Value, gradient: ir.Value) -> ir.Value:
        """The rate, NaN where a gradient that the loss reads is not finite."""
        if gradient in self._sizes:
            nothing = write.node("Mul", self._sizes[gradient], write.scalar(0))
            return write.node("Add", rate, nothing)
        if not self._read([gradient]):
            return rate
        (checked,) = write.nodes_with(FINITE_LOSS, [rate, gradient], {}, 1, DOMAIN)
        self._told[gradient] = checked
        return checked

    def _read(self, gradients: Sequence[ir.Value]) -> list[ir.Value]:
        """Those of gradients that the loss reads by an operator of ours."""
        read = set() if self._check is None else set(self._check.inputs)
        return [gradient for gradient in gradients if gradient in read]


def _is_large(gradient: ir.Value) -> bool:
    sizes = [size for size in gradient.shape or () if isinstance(size, int)]
    return prod(sizes) >= _LARGE
