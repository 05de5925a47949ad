"""The graphs that a training session, an evaluation and an export need."""

from __future__ import annotations

from svgd_onnx.transforms.emit.accumulate_gradients import AccumulateGradients
from svgd_onnx.transforms.emit.evaluation_inputs import EvaluationInputs
from svgd_onnx.transforms.emit.inference_model import InferenceModel
from svgd_onnx.transforms.emit.optimizer_model import OPTIMIZERS, Optimizer, optimizer_model
from svgd_onnx.transforms.emit.parameter_update import ParameterUpdate
from svgd_onnx.transforms.emit.state_outputs import StateOutputs

__all__ = [
    "OPTIMIZERS",
    "AccumulateGradients",
    "EvaluationInputs",
    "InferenceModel",
    "Optimizer",
    "ParameterUpdate",
    "StateOutputs",
    "optimizer_model",
]
