"""What gradients are called."""

from __future__ import annotations


def gradient_name(value: str) -> str:
    """The name of the gradient of a value, as onnxruntime's gradient builder gives it too."""
    return f"{value}_grad"
