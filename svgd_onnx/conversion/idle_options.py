"""Options of `convert` that were given and change nothing: a warning names them, and says why."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields

from svgd_onnx.conversion.options import TrainingSettings, UpdateSettings
from svgd_onnx.conversion.plan import TrainingPlan
from svgd_onnx.errors import Advice, listed, option, without
from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.finetune.initial_values import HE
from svgd_onnx.transforms.quantization import STRAIGHT_THROUGH, is_fake_quantization
from svgd_onnx.transforms.virtualize import ParameterUse, VirtualGradientSettings


def of_t(virtual_gradient: VirtualGradientSettings, update: UpdateSettings) -> list[str]:
    """Settings of T where there is none."""
    default = VirtualGradientSettings()
    names = [
        option(each.name)
        for each in fields(VirtualGradientSettings)
        if getattr(virtual_gradient, each.name) != getattr(default, each.name)
    ]
    if update.adapts or not names:
        return []
    return [f"{listed(names)} (the optimizer {update.optimizer} is without T)"]


def of_model(plan: TrainingPlan, training: TrainingSettings) -> list[str]:
    """Settings of what a model does not have."""
    nodes = list(all_nodes(plan.canonical.graph))
    idle = []
    if training.freeze_bn and not any(node.op_type == "BatchNormalization" for node in nodes):
        idle.append(f"{option('freeze_bn')} (the model has no BatchNormalization)")
    if training.quantized == STRAIGHT_THROUGH and not any(map(is_fake_quantization, nodes)):
        idle.append(
            f"{option('quantized', STRAIGHT_THROUGH)} (the model has nothing that it is for)"
        )
    if training.init_head != HE and training.num_classes is None:
        idle.append(f"{option('init_head')} (no {option('num_classes')} is given)")
    if training.fixed_batch and not _has_fixed_batch(plan):
        idle.append(f"{option('fixed_batch')} (the file fixes no batch axis)")
    return idle


def of_verification(verify: bool, random_size: Mapping[str, int] | None) -> list[str]:
    """Sizes of data that are not made up."""
    idle = random_size and not verify
    return [f"{option('random_size')} (by {without('verify')} no data are made up)"] if idle else []


def of_check(
    arrays: object | None, examples: int | None, random_size: Mapping[str, int] | None
) -> list[str]:
    """Sizes of random data beside the user's, or a number of the user's beside none."""
    if arrays is not None:
        return [f"{option('random_size')} (data are given)"] if random_size else []
    return [] if examples is None else [f"{option('examples')} (no data are given)"]


def warn_of_no_t(uses: Sequence[ParameterUse], update: UpdateSettings) -> None:
    """Says that T acts on nothing of what is trained, and why, where the optimizer is svgd."""
    if not update.adapts or any(use.state is not None for use in uses):
        return
    reasons = dict.fromkeys(f"{use.op_type}, {use.reason}" for use in uses)
    warnings.warn(
        Advice(
            f"T is before none of the gradients, so that {update.optimizer} is {update.rule}: "
            f"{listed(reasons, 3)}. {option('t_scope')} says what T acts on."
        ),
        stacklevel=5,
    )


def warn_of(idle: list[str]) -> None:
    """Names what changes nothing, if anything does."""
    if idle:
        warnings.warn(Advice(f"Without effect: {listed(idle)}."), stacklevel=5)


def _has_fixed_batch(plan: TrainingPlan) -> bool:
    for value in plan.canonical.graph.inputs:
        axis = plan.batch_axes[value.name or ""]
        if axis is not None and value.shape is not None and isinstance(value.shape[axis], int):
            return True
    return False
