"""Train exported ONNX models with Stochastic Virtual Gradient Descent on onnxruntime."""

from __future__ import annotations

from svgd_onnx.conversion import convert
from svgd_onnx.errors import UserError
from svgd_onnx.gradient_check import ParameterCheck, check
from svgd_onnx.inspection import inspect
from svgd_onnx.manifest import Manifest
from svgd_onnx.runtime import custom_op_library
from svgd_onnx.trainer import Trainer
from svgd_onnx.transforms.losses.settings import LossSettings

__all__ = [
    "LossSettings",
    "Manifest",
    "ParameterCheck",
    "Trainer",
    "UserError",
    "check",
    "convert",
    "custom_op_library",
    "inspect",
]
__version__ = "0.1.0"
