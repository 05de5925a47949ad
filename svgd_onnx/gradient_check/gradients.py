"""Gradients and outputs of a model, as onnxruntime computes them in float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from svgd_onnx.conversion.plan import TrainingPlan
from svgd_onnx.errors import UserError, first_line, option
from svgd_onnx.transforms.differentiate import gradient_name

# Rounding is probed with changes of so many units in the last place.
_PROBED_UNITS = 4


def by_use(plan: TrainingPlan, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays of parameters under the names of the inputs that stand for them."""
    return {use: values[name] for name, uses in plan.copies.items() for use in uses}


def gradients(
    model: ir.Model, plan: TrainingPlan, feeds: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """onnxruntime's gradient of each trainable parameter, summed over its uses; float64."""
    wanted = [gradient_name(use) for uses in plan.copies.values() for use in uses]
    by_name = dict(zip(wanted, run(model, wanted, feeds)))
    return {
        name: np.asarray(sum(by_name[gradient_name(use)].astype(np.float64) for use in uses))
        for name, uses in plan.copies.items()
    }


def perturbed(array: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Each number up or down by a few units in its last place."""
    if array.dtype != np.float32:
        return array
    units = np.float32(_PROBED_UNITS * np.finfo(np.float32).eps)
    signs = random.choice(np.array([-1, 1], np.float32), size=array.shape)
    return np.asarray(array * (1 + units * signs))


def run(
    model: ir.Model, outputs: Sequence[str], feeds: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    """Some outputs of a model; it is fed what it has inputs for.

    Raises:
        UserError: onnxruntime cannot run it, or not on this data.
    """
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.log_severity_level = 3
    try:
        session = InferenceSession(ir.to_proto(model).SerializeToString(), options)
    except Exception as error:  # the binding has an exception class for each status
        raise UserError(f"onnxruntime cannot run the model ({first_line(error)}).") from error
    names = {value.name for value in session.get_inputs()}
    given = {name: array for name, array in feeds.items() if name in names}
    try:
        results: list[np.ndarray] = session.run(list(outputs), given)
    except Exception as error:
        raise UserError(
            f"onnxruntime cannot run the model on this data ({first_line(error)}): give data that fits "
            f"it with {option('data')}, {option('batch_size')} or {option('random_size')}."
        ) from error
    return results
