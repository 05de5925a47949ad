"""AdamW's and RMSProp's whole update by one operator of ours, in one pass over memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from svgd_onnx.transforms.emit.update import Group, KeptTensors
from svgd_onnx.transforms.fast_operators import ADAPTIVE_DESCENT
from svgd_onnx.transforms.optimizers.update import Update
from svgd_onnx.transforms.virtualize import DOMAIN
from svgd_onnx.transforms.writer import Writer


@dataclass(frozen=True)
class _Moments:
    """What a rule calls its states, and by which hyper-parameters they decay."""

    second: str
    second_decay: str
    first: str = ""
    first_decay: str = ""


_ADAM = _Moments("second_moment", "beta_2", "first_moment", "beta_1")
_MOMENTS = {
    "adam": _ADAM,
    "adamw": _ADAM,
    "rmsprop": _Moments("mean_square", "decay"),
}
ADAPTIVE_RULES = frozenset(_MOMENTS)


def adaptive_descent(
    write: Writer,
    group: Group,
    given: Sequence[ir.Value],
    update: Update,
    kept: KeptTensors,
    guard: ir.Value | None,
) -> tuple[ir.Value, ir.Value]:
    """Writes the update of a group's parameters, and what their states become.

    Args:
        write: where to.
        group: the parameters.
        given: these as one tensor, the rate, and their gradient.
        update: the rule, one of `ADAPTIVE_RULES`.
        kept: the states.
        guard: what has to be finite, else nothing changes; None if that is no matter.

    Returns:
        The parameters after it, and a number that is finite only where the squares of the gradient are.
    """
    moments, values = _MOMENTS[update.rule], update.hyper_parameters
    attributes = {
        "beta_2": values[moments.second_decay],
        "rest_2": 1 - values[moments.second_decay],
        "stability": values["stability"],
        "weight_decay": float(group.weight_decay),
    }
    inputs = [*given, kept.as_one(write, group.parameters, moments.second)]
    states = [moments.second]
    if moments.first:
        beta = values[moments.first_decay]
        attributes |= {"beta_1": beta, "rest_1": 1 - beta}
        inputs += [kept.as_one(write, group.parameters, moments.first), kept.steps()]
        states.append(moments.first)
    if guard is not None:
        inputs.append(guard)
    new, size, *after = write.nodes_with(
        ADAPTIVE_DESCENT, inputs, attributes, 2 + len(states), DOMAIN
    )
    for name, value in zip(states, after):
        kept.new(write, kept.of(group.parameters, name), value)
    return new, size
