"""Files of the target ort-training, as onnxruntime's training API loads them."""

from __future__ import annotations

TRAINING_MODEL = "training_model.onnx"
FAST_MODEL = "training_model.fast.onnx"
OPTIMIZER_MODEL = "optimizer_model.onnx"
CHECKPOINT = "checkpoint"
CHECKPOINT_FILES = (CHECKPOINT, f"{CHECKPOINT}.data")
