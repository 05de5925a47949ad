"""Names in the graphs of artifacts.

A training step of the target onnx takes a batch, `LEARNING_RATE` (float32 scalar) and every tensor of the
checkpoint, and gives the loss and, for each tensor x that it changes, `x` + `NEW_SUFFIX`, to be fed as x at
the next step.
"""

from __future__ import annotations

LEARNING_RATE = "svgd.learning_rate"
UPDATE = "svgd.update"
"""Input of a step that accumulates gradients, bool: whether this batch is the last of a step."""
STEPS = "svgd.steps"
"""How often the parameters have changed, where the optimizer's formula asks for it (adamw)."""
NEW_SUFFIX = ".new"
