"""From the forward graph to that of the virtual gradients, by either way of the paper's Sec. 3.

operators (3.1)   forward → twins into it → differentiate        → twins out of it
graph     (3.2)   forward                 → differentiate        → T into the gradients
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import onnx_ir as ir

from svgd_onnx.conversion.plan import TrainingPlan
from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.targets.target import Target
from svgd_onnx.transforms.bodies import CONTROL_FLOW, read_by
from svgd_onnx.transforms.differentiate.differentiators import AUTO, ONNXRUNTIME, OWN, differentiate
from svgd_onnx.transforms.lower import LowerFakeQuantize
from svgd_onnx.transforms.virtualize import (
    MergeParameterUses,
    ParameterUse,
    PlainOperators,
    TwinOperators,
    VirtualGradient,
    VirtualGradientSettings,
    sigma_prime,
)
from svgd_onnx.transforms.virtualize.settings import EXAMPLE, GRAPH, OPERATORS


def differentiator_for(target: Target, wanted: str) -> str:
    """Who is to differentiate for a target: who is wanted, and of "auto" the target's own choice."""
    return target.differentiator if wanted == AUTO else wanted


def virtual_gradients(
    plan: TrainingPlan,
    settings: VirtualGradientSettings,
    differentiator: str,
    *,
    factors_last: bool = False,
) -> tuple[ir.Model, Sequence[ParameterUse], str]:
    """The gradient graph with T in it, sigma-prime, and who differentiated.

    Args:
        plan: the forward graph stays as it is.
        settings: T's, and which way.
        differentiator: one of `DIFFERENTIATOR_NAMES`.
        factors_last: as of `sigma_prime`.

    Raises:
        UserError: operators on the way have no gradient, the shape of r is not known, or the
            differentiator knows no twins.
    """
    _check_examples_first(plan, settings)
    if settings.encapsulation == OPERATORS:
        gradients, uses = _of_twins(plan, settings, factors_last=factors_last)
        differentiator = OWN
    else:
        gradients, differentiator = differentiate(plan.forward, plan.copies, differentiator)
        uses = sigma_prime(
            plan.forward.graph,
            plan.copies,
            settings,
            gradients.graph,
            factors_last=factors_last,
        )
        VirtualGradient(uses, settings)(gradients)
    MergeParameterUses(plan.copies)(gradients)
    LowerFakeQuantize()(gradients)
    return gradients, uses, differentiator


def _check_examples_first(plan: TrainingPlan, settings: VirtualGradientSettings) -> None:
    """Refuses gradients of each example, which are counted along the first axis, where that has none."""
    axes = [plan.batch_axes[name] for name in plan.inputs]
    if settings.gradient == EXAMPLE and settings.t_scope and 0 not in axes:
        raise UserError(
            f"{option('gradient', EXAMPLE)} counts examples along the first axis, but this model has none "
            f"there: leave it out."
        )


def with_reductions(
    settings: VirtualGradientSettings, reductions: Collection[str]
) -> VirtualGradientSettings:
    """Settings as they come to effect: under a sum, dY is that of each example's loss as it stands.

    Raises:
        UserError: gradients are of each example, and losses are means and sums.
    """
    if settings.gradient != EXAMPLE or "sum" not in reductions:
        return settings
    if len(reductions) > 1:
        raise UserError(
            f"{option('gradient', EXAMPLE)} does not go with means and sums together: give all losses one "
            f"{option('reduction')}."
        )
    return replace(settings, gradient=GRAPH)


def check_differentiator(settings: VirtualGradientSettings, differentiator: str) -> None:
    """Refuses twins for onnxruntime's builder.

    Raises:
        UserError: names both options.
    """
    if settings.encapsulation == OPERATORS and differentiator == ONNXRUNTIME:
        raise UserError(
            f"onnxruntime's gradient builder knows no twins of operators: leave out "
            f"{option('differentiator', ONNXRUNTIME)} or {option('encapsulation', OPERATORS)}."
        )


def _of_twins(
    plan: TrainingPlan, settings: VirtualGradientSettings, *, factors_last: bool
) -> tuple[ir.Model, Sequence[ParameterUse]]:
    # which of them a gradient comes back to; and operators that are refused are named before shapes
    plain, _ = differentiate(plan.forward, plan.copies, OWN)
    uses = sigma_prime(
        plan.forward.graph, plan.copies, settings, plain.graph, factors_last=factors_last
    )
    _check_without_bodies(plan, settings)
    forward = plan.forward.clone()
    TwinOperators(uses, settings)(forward)
    gradients, _ = differentiate(forward, plan.copies, OWN)
    PlainOperators()(gradients)
    return gradients, uses


def _check_without_bodies(plan: TrainingPlan, settings: VirtualGradientSettings) -> None:
    """Refuses parameters in bodies of control flow, whose turns together have one T, and no twin."""
    names = {name for inputs in plan.copies.values() for name in inputs}
    nodes = [
        f"{node.op_type} '{node.name}'"
        for node in plan.forward.graph
        if node.op_type in CONTROL_FLOW
        and any(value is not None and value.name in names for value in read_by(node))
    ]
    if nodes and settings.t_scope:
        raise UserError(
            f"Operations in bodies of control flow have no twins ({listed(nodes)}): leave out "
            f"{option('encapsulation', OPERATORS)}."
        )
