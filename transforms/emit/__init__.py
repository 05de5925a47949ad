"""The graphs that training, evaluation and export need, a folder for what only one target does."""

from __future__ import annotations

from svgd_onnx.transforms.emit.final_names import FinalNames
from svgd_onnx.transforms.emit.inference_model import InferenceModel

__all__ = ["FinalNames", "InferenceModel"]
