"""The runtimes that artifacts are made for, a folder each, in one table.

ort_training   onnxruntime's training session (onnxruntime-training 1.19.2)
standard_onnx  one step as a model of standard operators, for any onnxruntime
"""

from __future__ import annotations

from svgd_onnx.errors import check_choice
from svgd_onnx.runtime import training_is_installed
from svgd_onnx.targets.ort_training.target import ORT_TRAINING
from svgd_onnx.targets.standard_onnx.target import STANDARD_ONNX
from svgd_onnx.targets.target import Target

TARGETS: dict[str, Target] = {each.name: each for each in (ORT_TRAINING, STANDARD_ONNX)}
DEFAULT_TARGET = ORT_TRAINING.name

__all__ = ["DEFAULT_TARGET", "STANDARD_ONNX", "TARGETS", "Target", "target_here", "target_named"]


def target_here() -> str:
    """The target where none is named: the default one, or onnx where onnxruntime-training is not installed."""
    return DEFAULT_TARGET if training_is_installed() else STANDARD_ONNX.name


def target_named(name: str) -> Target:
    """A target of the table.

    Raises:
        UserError: it has none of that name; the message lists them.
    """
    check_choice("target", name, TARGETS)
    return TARGETS[name]
