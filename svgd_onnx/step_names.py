"""Files of the target onnx, and names in its graphs.

A training step takes a batch, `LEARNING_RATE` (float32 scalar) and every tensor of the checkpoint, and
gives the loss and, for each tensor x that it changes, `x` + `NEW_SUFFIX`, to be fed as x at the next step.
"""

from __future__ import annotations

TRAINING_STEP = "training_step.onnx"
MODEL_WITHOUT_WEIGHTS = "model_without_weights.onnx"
CHECKPOINT = "checkpoint.safetensors"

LEARNING_RATE = "svgd.learning_rate"
UPDATE = "svgd.update"
"""Input of a step that accumulates gradients, bool: whether this batch is the last of a step."""
STEPS = "svgd.steps"
"""How often the parameters have changed, where the optimizer's formula asks for it (adamw)."""
NEW_SUFFIX = ".new"
