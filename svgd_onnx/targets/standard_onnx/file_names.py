"""Files of the target onnx."""

from __future__ import annotations

TRAINING_STEP = "training_step.onnx"
MODEL_WITHOUT_WEIGHTS = "model_without_weights.onnx"
CHECKPOINT = "checkpoint.safetensors"
