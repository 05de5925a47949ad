"""The graphs that training, evaluation and export need, a folder for what only one target does."""

from __future__ import annotations

from svgd_onnx.transforms.emit.averaged_inputs import AveragedInputs
from svgd_onnx.transforms.emit.exported_model import ExportedModel, exported_model
from svgd_onnx.transforms.emit.final_names import FinalNames
from svgd_onnx.transforms.emit.finite_loss import FiniteLoss, plain_loss
from svgd_onnx.transforms.emit.own_scales import OwnScale

__all__ = [
    "AveragedInputs",
    "ExportedModel",
    "FinalNames",
    "FiniteLoss",
    "OwnScale",
    "exported_model",
    "plain_loss",
]
