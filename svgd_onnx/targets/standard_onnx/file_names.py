"""Files of the target onnx."""

from __future__ import annotations

TRAINING_STEP = "training_step.onnx"
FAST_STEP = "training_step.fast.onnx"
CHECKPOINT = "checkpoint.safetensors"
