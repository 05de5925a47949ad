"""A prediction of probabilities is not taken for logits: what shows it is what the model says of some data."""

from __future__ import annotations

import numpy as np

from svgd_onnx.conversion.plan import TrainingPlan
from svgd_onnx.errors import UserError, option
from svgd_onnx.step_names import unquoted
from svgd_onnx.transforms.losses import LOSSES

# Rows of probabilities, as float32 adds them up.
_SUM_TOLERANCE = 1e-3


def may_be_probabilities(plan: TrainingPlan) -> bool:
    """Whether the loss takes the prediction itself for logits, and no user says that it is."""
    settings = plan.loss_settings
    as_logits = plan.loss.contains and plan.logits.name == plan.prediction
    return bool(as_logits) and not settings.from_logits


def refuse_probabilities(plan: TrainingPlan, prediction: np.ndarray) -> None:
    """Refuses a prediction of probabilities where the loss is of logits.

    Args:
        plan: says which loss, and where the prediction has its classes.
        prediction: what the model says of some data.

    Raises:
        UserError: none of it is negative, and all rows have one sum.
    """
    if not may_be_probabilities(plan):
        return
    axis = -1 if plan.class_axis is None else plan.class_axis
    if prediction.ndim < 2 or prediction.shape[axis] < 2 or prediction.min() < 0:
        return
    sums = prediction.sum(axis=axis)
    # per cent, say; but not where all rows are the same, as those of a new head
    least = _SUM_TOLERANCE * float(sums.mean())
    rows = np.moveaxis(prediction, axis, -1).reshape(-1, prediction.shape[axis])
    alike = float(np.ptp(sums)) < least and float(np.ptp(rows, axis=0).max()) > least
    if alike or np.abs(sums - 1).max() < _SUM_TOLERANCE:
        others = [name for name, loss in LOSSES.items() if not loss.contains and loss.target]
        raise UserError(
            f"The prediction '{unquoted(plan.prediction)}' looks like probabilities (on made-up data none "
            f"is negative, and all rows have the same sum), but the loss {plan.loss.name} takes it for logits: "
            f"name the logits with {option('prediction')}, choose {option('loss')} {' or '.join(others)}, "
            f"or say with {option('from_logits')} that these are logits."
        )
