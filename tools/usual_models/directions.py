"""Gradients of all parameters at once, beside central differences of the loss in float64."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from svgd_onnx.conversion.options import TrainingSettings
from svgd_onnx.conversion.plan import plan_training
from svgd_onnx.gradient_check.double_precision import Evaluator
from svgd_onnx.gradient_check.gradients import by_use

DIRECTIONS, STEP = 2, 1e-8
# A gradient this much smaller than the largest is rounding alone.
_NEGLIGIBLE = 1e-4


def largest_error(
    model: Path,
    settings: TrainingSettings,
    batch: Mapping[str, np.ndarray],
    gradients: Mapping[str, np.ndarray],
) -> float:
    """The largest error of a derivative, relative to the standard deviation that it has.

    A direction moves every parameter at random, each so far that all have a like share in the derivative: a
    gradient that is wrong, or missing, shows as an error of about 1 / sqrt(parameters) or more.

    Args:
        model: the ONNX file.
        settings: how it is trained.
        batch: inputs and labels.
        gradients: of the loss over the batch, by parameter.
    """
    plan = plan_training(model, settings, dropout=False)
    values = {name: tensor.numpy() for name, tensor in plan.values.items()}
    evaluator = Evaluator(plan.forward, {**batch, **values, **by_use(plan, values)})
    norms = {name: float(np.linalg.norm(each)) for name, each in gradients.items()}
    floor = _NEGLIGIBLE * max(norms.values())
    scales = {name: 1 / max(norm, floor) for name, norm in norms.items()}
    deviation = float(np.linalg.norm([norms[name] * scales[name] for name in norms]))
    errors = []
    for seed in range(DIRECTIONS):
        random = np.random.default_rng(seed)
        direction = {
            name: scales[name] * random.normal(size=each.shape) for name, each in gradients.items()
        }
        computed = sum(float(np.sum(gradients[name] * each)) for name, each in direction.items())
        ahead, behind = (
            evaluator.output(
                by_use(
                    plan,
                    {
                        name: values[name].astype(np.float64) + step * direction[name]
                        for name in plan.copies
                    },
                )
            )
            for step in (STEP, -STEP)
        )
        errors.append(abs((ahead - behind) / (2 * STEP) - computed) / deviation)
    return max(errors)
