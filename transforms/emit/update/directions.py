"""Where parameters go: an optimizer's direction, weight decay in it."""

from __future__ import annotations

from functools import partial

import onnx_ir as ir

from svgd_onnx.transforms.emit.update.groups import Group
from svgd_onnx.transforms.emit.update.kept_tensors import KeptTensors
from svgd_onnx.transforms.optimizers.step import Step
from svgd_onnx.transforms.optimizers.update import Update
from svgd_onnx.transforms.writer import Writer


def direction_of(
    write: Writer,
    group: Group,
    parameter: ir.Value,
    gradient: ir.Value,
    update: Update,
    kept: KeptTensors,
) -> ir.Value:
    """Writes the direction of a group's parameters, and what their states become.

    Args:
        write: where to.
        group: the parameters.
        parameter: these as one tensor.
        gradient: its gradient.
        update: the rule.
        kept: the states.
    """
    optimizer = update.optimizer
    step = Step(
        write,
        parameter,
        gradient,
        update.hyper_parameters,
        partial(kept.as_one, write, group.parameters),
        kept.steps,
        group.rank,
    )
    direction, states = optimizer.formula(step)
    if group.weight_decay:
        decay = write.node("Mul", parameter, write.scalar(group.weight_decay))
        direction = write.node("Add", direction, decay)
    if optimizer.rescaled is not None:
        direction = optimizer.rescaled(step, direction)
    for name, value in states.items():
        kept.new(write, kept.of(group.parameters, name), value)
    return direction
