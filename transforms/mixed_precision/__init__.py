"""Products and convolutions in float16, and the loss scaled for it; all else stays float32."""

from __future__ import annotations

from svgd_onnx.transforms.mixed_precision.half_products import (
    HalfProducts,
    SingleProducts,
    products_of,
)
from svgd_onnx.transforms.mixed_precision.leave_out import LeaveOutSteps
from svgd_onnx.transforms.mixed_precision.scale_loss import ScaleLoss

__all__ = [
    "HalfProducts",
    "LeaveOutSteps",
    "ScaleLoss",
    "SingleProducts",
    "products_of",
]
