"""Train exported ONNX models with Stochastic Virtual Gradient Descent on onnxruntime.

Names are imported when they are first used: a device that only trains has neither onnx nor onnx-ir.
"""

from __future__ import annotations

from svgd_onnx.source_tree import find_transforms
from svgd_onnx.version import __version__

# Not of typing: until the command line listens to signals, nothing is imported that takes time.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from svgd_onnx.conversion.apply_adapter import apply_adapter
    from svgd_onnx.conversion.convert import convert
    from svgd_onnx.conversion.inspection import inspect
    from svgd_onnx.conversion.ort_artifacts.arguments import SVGD
    from svgd_onnx.conversion.ort_artifacts.generate import generate_artifacts
    from svgd_onnx.curves.picture import plot
    from svgd_onnx.errors import UserError
    from svgd_onnx.estimators.classifier import OnnxClassifier
    from svgd_onnx.estimators.regressor import OnnxRegressor
    from svgd_onnx.gradient_check.check import ParameterCheck, check
    from svgd_onnx.graph.pictures import write_graph_drawing, write_graph_page
    from svgd_onnx.loss_settings import LossSettings, OutputLoss
    from svgd_onnx.manifest import Manifest
    from svgd_onnx.runtime import custom_op_library
    from svgd_onnx.training.callbacks import Callback
    from svgd_onnx.training.schedules import Schedule
    from svgd_onnx.training.sources import load_data
    from svgd_onnx.training.trainer import Trainer

__all__ = [
    "SVGD",
    "Callback",
    "LossSettings",
    "Manifest",
    "OnnxClassifier",
    "OnnxRegressor",
    "OutputLoss",
    "ParameterCheck",
    "Schedule",
    "Trainer",
    "UserError",
    "__version__",
    "apply_adapter",
    "check",
    "convert",
    "custom_op_library",
    "generate_artifacts",
    "inspect",
    "load_data",
    "plot",
    "write_graph_drawing",
    "write_graph_page",
]

_MODULES = {
    "Callback": "training.callbacks",
    "LossSettings": "loss_settings",
    "Manifest": "manifest",
    "OutputLoss": "loss_settings",
    "SVGD": "conversion.ort_artifacts.arguments",
    "OnnxClassifier": "estimators.classifier",
    "OnnxRegressor": "estimators.regressor",
    "ParameterCheck": "gradient_check.check",
    "Schedule": "training.schedules",
    "Trainer": "training.trainer",
    "UserError": "errors",
    "apply_adapter": "conversion.apply_adapter",
    "check": "gradient_check.check",
    "convert": "conversion.convert",
    "custom_op_library": "runtime",
    "generate_artifacts": "conversion.ort_artifacts.generate",
    "inspect": "conversion.inspection",
    "load_data": "training.sources",
    "plot": "curves.picture",
    "write_graph_drawing": "graph.pictures",
    "write_graph_page": "graph.pictures",
}

find_transforms()


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _MODULES:
        raise AttributeError(f"module 'svgd_onnx' has no attribute '{name}'")
    return getattr(importlib.import_module(f"svgd_onnx.{_MODULES[name]}"), name)
