"""Gradients and outputs of a model, as onnxruntime computes them in float32."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from svgd_onnx.conversion.inference import run
from svgd_onnx.conversion.plan import TrainingPlan
from svgd_onnx.transforms.differentiate import gradient_name

# Rounding is probed with changes of so many units in the last place.
_PROBED_UNITS = 4


def by_use(plan: TrainingPlan, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of parameters under the names of the inputs that stand for them."""
    return {use: values[name] for name, uses in plan.copies.items() for use in uses}


def gradients(
    model: ir.Model, plan: TrainingPlan, feeds: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """onnxruntime's gradient of each trainable parameter; float64 where it is the sum over several uses."""
    wanted = [gradient_name(use) for uses in plan.copies.values() for use in uses]
    by_name = dict(zip(wanted, run(model, wanted, feeds)))
    return {
        name: by_name[gradient_name(uses[0])]
        if len(uses) == 1
        else np.asarray(sum(by_name[gradient_name(use)].astype(np.float64) for use in uses))
        for name, uses in plan.copies.items()
    }


def perturbed(array: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Each number up or down by a few units in its last place."""
    if array.dtype != np.float32:
        return array
    units = np.float32(_PROBED_UNITS * np.finfo(np.float32).eps)
    signs = random.choice(np.array([-1, 1], np.float32), size=array.shape)
    return np.asarray(array * (1 + units * signs))
