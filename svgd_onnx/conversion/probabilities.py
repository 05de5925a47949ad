"""A prediction of probabilities is not taken for logits: what shows it is what the model says of some data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from svgd_onnx.conversion.loss_terms import PlannedLoss
from svgd_onnx.conversion.plan import TrainingPlan
from svgd_onnx.errors import UserError, option
from svgd_onnx.step_names import unquoted
from svgd_onnx.transforms.losses import LOSSES

# Rows of probabilities, as float32 adds them up.
_SUM_TOLERANCE = 1e-3


def may_be_probabilities(loss: PlannedLoss) -> bool:
    """Whether a loss takes the prediction itself for logits, and no user says that it is."""
    as_logits = loss.loss.contains and loss.logits.name == loss.prediction
    return bool(as_logits) and not loss.settings.from_logits


def refuse_probabilities(plan: TrainingPlan, predictions: Mapping[str, np.ndarray]) -> None:
    """Refuses predictions of probabilities where a loss is of logits.

    Args:
        plan: says which losses, and where predictions have their classes.
        predictions: what the model says of some data, by the names of its outputs.

    Raises:
        UserError: none of one is negative, and all rows have one sum.
    """
    for each in plan.losses:
        if may_be_probabilities(each):
            _refuse(each, predictions[each.prediction])


def _refuse(loss: PlannedLoss, prediction: np.ndarray) -> None:
    axis = -1 if loss.class_axis is None else loss.class_axis
    if prediction.ndim < 2 or prediction.shape[axis] < 2 or prediction.min() < 0:
        return
    sums = prediction.sum(axis=axis)
    # per cent, say; but not where all rows are the same, as those of a new head
    least = _SUM_TOLERANCE * float(sums.mean())
    rows = np.moveaxis(prediction, axis, -1).reshape(-1, prediction.shape[axis])
    alike = float(np.ptp(sums)) < least and float(np.ptp(rows, axis=0).max()) > least
    if alike or np.abs(sums - 1).max() < _SUM_TOLERANCE:
        others = [each.name for each in LOSSES.values() if not each.contains and each.target]
        raise UserError(
            f"The prediction '{unquoted(loss.prediction)}' looks like probabilities (on made-up data none "
            f"is negative, and all rows have the same sum), but the loss {loss.loss.name} takes it for logits: "
            f"name the logits with {option('prediction')}, choose {option('loss')} {' or '.join(others)}, "
            f"or say with {option('from_logits')} that these are logits."
        )
