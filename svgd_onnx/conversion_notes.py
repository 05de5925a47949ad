"""What `convert` says of choices that it made, or that have a catch."""

from __future__ import annotations

from svgd_onnx.errors import UserError, option
from svgd_onnx.manifest import Manifest


def class_axes(manifest: Manifest) -> list[str]:
    """Which axis was taken for that of classes, and why, where another could be meant."""
    lines = []
    for term in manifest.terms:
        if term.class_axis_reason:
            shape = ", ".join(map(str, term.logits_shape))
            other = UserError(option("class_axis")).on_command_line()
            lines.append(
                f"Classes lie along axis {term.settings.class_axis} of '{term.logits}' ({shape}): "
                f"{term.class_axis_reason}. If not: {other}."
            )
    return lines


def numbers(manifest: Manifest) -> list[str]:
    """In which numbers products are computed, where that is not float32, and on which devices."""
    if manifest.compute == "float32":
        return []
    return [
        f"Products and convolutions are in {manifest.compute}, the scale of the loss is {manifest.loss_scale}; "
        "onnxruntime's processor has float32 for them, so that this is for a GPU."
    ]
