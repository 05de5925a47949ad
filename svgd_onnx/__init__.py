"""Train exported ONNX models with Stochastic Virtual Gradient Descent on onnxruntime.

Names are imported when they are first used: a device that only trains has neither onnx nor onnx-ir.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from svgd_onnx.conversion import convert
    from svgd_onnx.errors import UserError
    from svgd_onnx.gradient_check import ParameterCheck, check
    from svgd_onnx.inspection import inspect
    from svgd_onnx.loss_settings import LossSettings
    from svgd_onnx.manifest import Manifest
    from svgd_onnx.runtime import custom_op_library
    from svgd_onnx.trainer import Trainer

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

_MODULES = {
    "LossSettings": "loss_settings",
    "Manifest": "manifest",
    "ParameterCheck": "gradient_check",
    "Trainer": "trainer",
    "UserError": "errors",
    "check": "gradient_check",
    "convert": "conversion",
    "custom_op_library": "runtime",
    "inspect": "inspection",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'svgd_onnx' has no attribute '{name}'")
    return getattr(importlib.import_module(f"svgd_onnx.{_MODULES[name]}"), name)
