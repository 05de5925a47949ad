"""The step as one graph of standard operators."""

from __future__ import annotations

from svgd_onnx.transforms.emit.standard_onnx.descent_of_rows import write_gradients_of_rows
from svgd_onnx.transforms.emit.standard_onnx.gradients_last import GradientsLast
from svgd_onnx.transforms.emit.standard_onnx.in_place import overwritten
from svgd_onnx.transforms.emit.standard_onnx.parameter_update import (
    ParameterUpdate,
    looks_at_gradients,
)
from svgd_onnx.transforms.emit.standard_onnx.state_outputs import StateOutputs

__all__ = [
    "GradientsLast",
    "ParameterUpdate",
    "StateOutputs",
    "looks_at_gradients",
    "overwritten",
    "write_gradients_of_rows",
]
