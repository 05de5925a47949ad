"""What an optimizer is: its numbers, its state, and the two forms that artifacts have it in.

Like the optimizers themselves it imports neither onnx nor onnx-ir, which a device lacks that trains: forms
in standard operators are written through what the `Step` brings along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, prod
from typing import TYPE_CHECKING

from svgd_onnx.errors import check_range
from svgd_onnx.transforms.optimizers.session_operator import SessionOperator
from svgd_onnx.transforms.optimizers.step import Step

if TYPE_CHECKING:
    import onnx_ir as ir

# From the step of one parameter to the direction that it goes against, and each state by name.
Formula = Callable[[Step], "tuple[ir.Value, Mapping[str, ir.Value]]"]
# From a parameter's shape to those of the tensors that are kept for it, by name.
States = Callable[[Sequence[int]], Mapping[str, Sequence[int]]]


@dataclass(frozen=True)
class Option:
    """A hyper-parameter that users may set, in [least, below).

    Attributes:
        least: the smallest value allowed.
        below: what values must be smaller than.
    """

    least: float
    below: float = inf

    def check(self, name: str, value: float) -> None:
        """Refuses a value out of range.

        Raises:
            UserError: says what is wanted.
        """
        wanted = (
            f"{self.least:g} or more"
            if self.below == inf
            else f"at least {self.least:g} and below {self.below:g}"
        )
        check_range(name, value, self.least <= value < self.below, wanted)


def of_its_shape(*names: str) -> States:
    """States that have the parameter's shape each."""
    return lambda shape: dict.fromkeys(names, shape)


@dataclass(frozen=True)
class Optimizer:
    """An update rule, which makes directions of parameters and their gradients: w <- w - rate * direction.

    Attributes:
        defaults: its hyper-parameters and their default values. `weight_decay` is among them where its
            `session_operator` heeds that; all other rules have decay added to their direction.
        options: those that users may set, by the hyper-parameter's name, which is the option's too.
        state: the tensors that it keeps for each parameter, float32, zero before the first step.
        session_operator: from values for all `defaults` to the operator that is this optimizer in
            onnxruntime's training session; None if it has none, and the step makes the directions itself.
        formula: writes it with standard operators. It gives the direction, and each of `state` by its
            name, every one the output of a node of its own. What a state becomes may depend on the state
            itself, and on others only where the direction does too.
        elementwise: whether each number of a direction follows from the same place of the others alone, so
            that several parameters may be updated as one.
        squares: whether it squares gradients, whose squares then have to be finite too.
        rescaled: writes what becomes of a direction that has weight decay in it; None if it stays.
    """

    defaults: Mapping[str, float]
    options: Mapping[str, Option]
    state: States
    session_operator: Callable[[Mapping[str, float]], SessionOperator] | None
    formula: Formula
    elementwise: bool = True
    squares: bool = False
    rescaled: Callable[[Step, ir.Value], ir.Value] | None = None

    @property
    def state_names(self) -> set[str]:
        """What its states are called, of parameters of any shape."""
        return {*self.state((1,)), *self.state((1, 1))}

    def state_size(self, shape: Sequence[int]) -> int:
        """How many numbers it keeps for a parameter of that shape."""
        return sum(map(prod, self.state(shape).values()))
