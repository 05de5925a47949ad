"""What is changed of a model's structure before it is trained: a new head, low-rank adapters, values anew."""

from __future__ import annotations

from svgd_onnx.transforms.finetune.adaptable import adaptable_weights, chosen_weights
from svgd_onnx.transforms.finetune.head import NewHead, complete_shapes, head_of
from svgd_onnx.transforms.finetune.low_rank import (
    LowRankAdapters,
    adapters_of,
    factor_shapes,
    initial_factors,
    stored_shape,
)
from svgd_onnx.transforms.finetune.reset import reset_parameters

__all__ = [
    "LowRankAdapters",
    "NewHead",
    "adaptable_weights",
    "adapters_of",
    "chosen_weights",
    "complete_shapes",
    "factor_shapes",
    "head_of",
    "initial_factors",
    "reset_parameters",
    "stored_shape",
]
