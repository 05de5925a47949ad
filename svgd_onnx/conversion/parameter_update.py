"""What becomes of each parameter, by the user's settings."""

from __future__ import annotations

from svgd_onnx.conversion.options import UpdateSettings
from svgd_onnx.conversion.plan import TrainingPlan
from svgd_onnx.transforms.optimizers.loss_scale import LossScale
from svgd_onnx.transforms.optimizers.update import Update
from svgd_onnx.transforms.parameter_groups import by_parameter


def update_of(
    plan: TrainingPlan,
    settings: UpdateSettings,
    accumulation_steps: int,
    loss_scale: LossScale | None = None,
) -> Update:
    """The update of a model's parameters.

    Raises:
        UserError: a glob matches nothing that is trained.
    """
    graph, trained = plan.canonical.graph, plan.selection.trainable
    return Update(
        rule=settings.rule,
        hyper_parameters=settings.hyper_parameters,
        rates=by_parameter(graph, trained, "rate", settings.rate),
        weight_decays=by_parameter(graph, trained, "weight_decay", settings.decays),
        proximal=settings.proximal,
        clip_value=settings.clip_value,
        clip_norm=settings.clip_norm,
        average=settings.ema,
        accumulation_steps=accumulation_steps,
        loss_scale=loss_scale,
    )
