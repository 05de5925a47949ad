"""What an optimizer is: its numbers, its state, and the two forms that artifacts have it in.

Like the optimizers themselves it imports neither onnx nor onnx-ir, which a device lacks that trains: forms
in standard operators are written through what the `Step` brings along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from svgd_onnx.errors import check_range
from svgd_onnx.transforms.optimizers.session_operator import SessionOperator
from svgd_onnx.transforms.optimizers.step import Step

if TYPE_CHECKING:
    import onnx_ir as ir

# From the step of one parameter to the parameter after it, and each of the optimizer's states by name.
Formula = Callable[[Step], "tuple[ir.Value, Mapping[str, ir.Value]]"]


@dataclass(frozen=True)
class Option:
    """A hyper-parameter that users may set, in [least, below).

    Attributes:
        least: the smallest value allowed.
        below: what values must be smaller than.
        instead: the option that does for other optimizers what this one does here, if there is one.
    """

    least: float
    below: float = inf
    instead: str | None = None

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


@dataclass(frozen=True)
class Optimizer:
    """An update rule, which makes of parameters and their gradients the parameters after a step.

    Attributes:
        defaults: its hyper-parameters and their default values.
        options: those that users may set, by the hyper-parameter's name, which is the option's too.
        state: names of the tensors that it keeps for each parameter, float32, of the parameter's shape,
            zero before the first step.
        session_operator: from values for all `defaults` to the operator that is this optimizer in
            onnxruntime's training session; None if it has none, and the target onnx only trains with it.
        formula: writes it with standard operators. It gives the parameter after the step, and each of
            `state` by its name, every one the output of a node of its own.
    """

    defaults: Mapping[str, float]
    options: Mapping[str, Option]
    state: tuple[str, ...]
    session_operator: Callable[[Mapping[str, float]], SessionOperator] | None
    formula: Formula

    @property
    def state_tensors(self) -> int:
        """How many tensors of a parameter's shape it keeps for each parameter."""
        return len(self.state)
