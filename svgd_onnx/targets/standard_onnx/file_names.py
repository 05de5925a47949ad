"""Files of the target onnx."""

from __future__ import annotations

TRAINING_STEP = "training_step.onnx"
FAST_STEP = "training_step.fast.onnx"
CHECKPOINT = "checkpoint.safetensors"


def piece_of(step: str, number: int) -> str:
    """The file of a step's piece, which are counted from 1: `training_step.piece-1.onnx`."""
    return step.replace(".onnx", f".piece-{number}.onnx")
