"""What an optimizer's formula is given to be written with standard operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

    from svgd_onnx.transforms.writer import Writer


@dataclass(frozen=True)
class Step:
    """The step of one parameter.

    Attributes:
        write: writes the nodes.
        parameter: the parameter before the step.
        gradient: its gradient, of the same shape.
        hyper_parameters: values for all of the optimizer's `defaults`.
        state: gives a tensor of the optimizer's `state` as it is before the step, by its name.
        steps: gives the number of this step as a scalar, 1 at the first. What no formula asks for is
            not counted.
        rank: how many axes the parameter has.
    """

    write: Writer
    parameter: ir.Value
    gradient: ir.Value
    hyper_parameters: Mapping[str, float]
    state: Callable[[str], ir.Value]
    steps: Callable[[], ir.Value]
    rank: int = 1

    def number(self, name: str) -> ir.Value:
        """A hyper-parameter."""
        return self.write.scalar(self.hyper_parameters[name])

    def rest(self, name: str) -> ir.Value:
        """1 - a hyper-parameter."""
        return self.write.scalar(1 - self.hyper_parameters[name])

    def moving_average(self, decay: str, old: ir.Value, new: ir.Value) -> ir.Value:
        """decay * old + (1 - decay) * new, with the hyper-parameter of that name."""
        write = self.write
        return write.node(
            "Add",
            write.node("Mul", old, self.number(decay)),
            write.node("Mul", new, self.rest(decay)),
        )
