"""Files of the target onnx."""

from __future__ import annotations

TRAINING_STEP = "training_step.onnx"
CHECKPOINT = "checkpoint.safetensors"
