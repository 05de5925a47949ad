"""What a gradient rule is, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from svgd_onnx.transforms.differentiate.gradients.broadcast import sum_to
from svgd_onnx.transforms.lower.lowering import TRAINING_DOMAIN
from svgd_onnx.transforms.rule import RefusedError, inputs_of
from svgd_onnx.transforms.writer import Writer

Gradients = Sequence["ir.Value | None"]


@dataclass(frozen=True)
class Backward:
    """A node on the way back.

    Attributes:
        node: the forward node.
        gradients: of its outputs, each of the output's shape; None where nothing flows back.
        wanted: of each input, whether its gradient is needed.
        write: where the rule writes.
        rules: those of all operators, for a rule that goes on to others.
    """

    node: ir.Node
    gradients: tuple[ir.Value | None, ...]
    wanted: tuple[bool, ...]
    write: Writer
    rules: Mapping[str, GradientRule]

    @property
    def dy(self) -> ir.Value:
        """The gradient of the first output.

        Raises:
            RefusedError: the loss depends on another output only.
        """
        if self.gradients[0] is None:
            raise RefusedError("the loss depends on another output than its first")
        return self.gradients[0]

    @property
    def x(self) -> ir.Value:
        """The first input."""
        return inputs_of(self.node, 1)[0]

    @property
    def y(self) -> ir.Value:
        """The first output."""
        return self.node.outputs[0]

    def named(self, index: int) -> ir.Value:
        """An output of the forward node, which it gives from now on if it did not."""
        if len(self.node.outputs) <= index:
            self.node.resize_outputs(index + 1)
        output = self.node.outputs[index]
        if not output.name:
            output.name = f"{self.y.name or self.node.name}/output_{index}"
        return output

    def each(self, *formulas: Callable[[], ir.Value] | None) -> list[ir.Value | None]:
        """For each input its gradient, written only where it is wanted."""
        return [
            formula() if wanted and formula is not None else None
            for formula, wanted in zip(formulas, self.wanted)
        ]

    def broadcast(self, *formulas: Callable[[], ir.Value] | None) -> list[ir.Value | None]:
        """The same for an operator that broadcasts: formulas of the output's shape, summed to the input's."""
        results = self.each(*formulas)
        return [
            result
            if result is None or operand is None
            else sum_to(self.write, result, self.y, operand)
            for result, operand in zip(results, self.node.inputs)
        ]

    def training(
        self, op_type: str, *inputs: ir.Value | None, outputs: int = 1, **attributes: object
    ) -> Sequence[ir.Value]:
        """An operator of onnxruntime's training set, which `Lower` can write with standard ones."""
        return self.write.nodes_with(op_type, list(inputs), attributes, outputs, TRAINING_DOMAIN)


# From a node on the way back to the gradients of its inputs.
GradientRule = Callable[[Backward], Gradients]
