"""What is changed of a model's structure before it is trained: a new head, low-rank adapters, values anew."""

from __future__ import annotations

from svgd_onnx.transforms.finetune.head import NewHead, complete_shapes
from svgd_onnx.transforms.finetune.reset import reset_parameters

__all__ = ["NewHead", "complete_shapes", "reset_parameters"]
