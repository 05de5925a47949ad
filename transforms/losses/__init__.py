"""The losses, one file each, in one table."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.loss_settings import REDUCTIONS, LossSettings
from svgd_onnx.transforms.losses.add_loss import AddLoss
from svgd_onnx.transforms.losses.binary_cross_entropy import BINARY_CROSS_ENTROPY
from svgd_onnx.transforms.losses.cross_entropy import CROSS_ENTROPY
from svgd_onnx.transforms.losses.l1 import L1
from svgd_onnx.transforms.losses.loss import Loss
from svgd_onnx.transforms.losses.mean_squared_error import MEAN_SQUARED_ERROR
from svgd_onnx.transforms.losses.own_loss import OwnLoss

# The loss is an output of the model.
NONE = "none"

LOSSES: dict[str, Loss] = {
    "cross-entropy": CROSS_ENTROPY,
    "mse": MEAN_SQUARED_ERROR,
    "bce-with-logits": BINARY_CROSS_ENTROPY,
    "l1": L1,
}

LOSS_NAMES = (*LOSSES, NONE)

__all__ = [
    "LOSSES",
    "LOSS_NAMES",
    "NONE",
    "REDUCTIONS",
    "AddLoss",
    "Loss",
    "LossSettings",
    "OwnLoss",
    "add_loss",
]


def add_loss(
    model: ir.Model, loss: str, prediction: str, settings: LossSettings
) -> AddLoss | OwnLoss:
    """Adds a loss by name, in place; returns the pass, which knows the logits and their classes."""
    added = OwnLoss(prediction) if loss == NONE else AddLoss(LOSSES[loss], prediction, settings)
    added(model)
    return added
