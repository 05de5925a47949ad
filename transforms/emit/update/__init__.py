"""The update of parameters, as far as it is the same for all targets: from gradients to directions."""

from __future__ import annotations

from svgd_onnx.transforms.emit.update.directions import direction_of
from svgd_onnx.transforms.emit.update.gradients_of_step import gradients_of_step
from svgd_onnx.transforms.emit.update.groups import Group, groups_of
from svgd_onnx.transforms.emit.update.kept_tensors import KeptTensors

__all__ = ["Group", "KeptTensors", "direction_of", "gradients_of_step", "groups_of"]
