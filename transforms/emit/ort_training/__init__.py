"""The graphs that onnxruntime's training session runs."""

from __future__ import annotations

from svgd_onnx.transforms.emit.ort_training.accumulate_gradients import AccumulateGradients
from svgd_onnx.transforms.emit.ort_training.evaluation_inputs import EvaluationInputs
from svgd_onnx.transforms.emit.ort_training.optimizer_model import optimizer_model

__all__ = ["AccumulateGradients", "EvaluationInputs", "optimizer_model"]
