"""The losses, one file each, in one table."""

from __future__ import annotations

from svgd_onnx.transforms.losses.add_loss import AddLoss
from svgd_onnx.transforms.losses.binary_cross_entropy import BINARY_CROSS_ENTROPY
from svgd_onnx.transforms.losses.cross_entropy import CROSS_ENTROPY
from svgd_onnx.transforms.losses.l1 import L1
from svgd_onnx.transforms.losses.loss import Loss
from svgd_onnx.transforms.losses.mean_squared_error import MEAN_SQUARED_ERROR

LOSSES: dict[str, Loss] = {
    "cross-entropy": CROSS_ENTROPY,
    "mse": MEAN_SQUARED_ERROR,
    "bce-with-logits": BINARY_CROSS_ENTROPY,
    "l1": L1,
}

__all__ = ["LOSSES", "AddLoss", "Loss"]
