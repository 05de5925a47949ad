"""The options that `convert`, `inspect` and `check` share."""

from __future__ import annotations

from typing import Any

import typer

from svgd_onnx.conversion.compute import COMPUTE as CHOICES
from svgd_onnx.conversion.compute import ComputeSettings
from svgd_onnx.conversion.options import TrainingSettings
from svgd_onnx.option_types import text_or_numbers
from svgd_onnx.targets import TARGETS
from svgd_onnx.transforms.differentiate.differentiators import DIFFERENTIATOR_NAMES
from svgd_onnx.transforms.losses import LOSSES
from svgd_onnx.transforms.quantization import QUANTIZED_CHOICES
from svgd_onnx.transforms.virtualize.settings import (
    ENCAPSULATIONS,
    GRANULARITIES,
    VirtualGradientSettings,
)

# What holds where an option is not given.
_T = VirtualGradientSettings()

LOSS = typer.Option(
    [str(TrainingSettings.loss)],
    metavar="[OUTPUT=]LOSS[:WEIGHT]",
    help=f"One of {', '.join(LOSSES)}; or an ONNX file of a prediction and a target. For several outputs "
    "OUTPUT=LOSS or OUTPUT=LOSS:WEIGHT, once for each: their weighted sum is trained by.",
)
PREDICTION = typer.Option(
    None, help="The output that the loss compares (or is), if the model has several."
)
BATCH_AXIS = typer.Option(
    [],
    metavar="NAME=AXIS|none",
    help="The axis that examples lie along in an input or output, or none, for what is given whole at "
    "every step; may be repeated.",
)
SIZE = typer.Option(
    [],
    metavar="AXIS=N",
    help="Fix an open axis of the model, by its name or a glob; may be repeated.",
)
FIXED_BATCH = typer.Option(
    False,
    "--fixed-batch",
    help="Keep a batch axis that the file fixes; else it is opened where it can be.",
)


def _of_losses(value: str, help_: str, parser: Any = text_or_numbers) -> Any:
    """An option about losses, each of which may have its own."""
    return typer.Option([], metavar=f"[OUTPUT=]{value}", parser=parser, help=help_)


REDUCTION = _of_losses("mean|sum", "Of the loss: mean (the default) or sum.", str)
CLASS_AXIS = _of_losses(
    "AXIS", "The logits' axis of classes; by default a Softmax's, the last layer's, or 1."
)
IGNORE_INDEX = _of_losses("LABEL", "Labels of this value do not count.")
CLASS_WEIGHTS = _of_losses("W0,W1,…|FILE.npy", "A weight for each class, or a file of them.")
LABEL_SMOOTHING = _of_losses("SHARE", "The share of the target spread over all classes.")
FOCAL_GAMMA = _of_losses(
    "GAMMA", "Of focal: the exponent of one less the label's probability; by default 2."
)
MARGIN = _of_losses("MARGIN", "Of hinge and triplet; by default 1.")
FROM_LOGITS = typer.Option(
    False,
    "--from-logits",
    help="The prediction is logits as it stands, whatever it ends in and looks like.",
)
TRAIN = typer.Option(
    [], metavar="GLOB", help="Train only parameters whose name matches; may be repeated."
)
FREEZE = typer.Option(
    [], metavar="GLOB", help="Do not train parameters whose name matches; may be repeated."
)
FREEZE_BN = typer.Option(
    False,
    "--freeze-bn",
    help="BatchNormalization normalizes with its running statistics, and keeps them.",
)
QUANTIZED = typer.Option(
    TrainingSettings.quantized,
    help=f"What is quantized: {' or '.join(QUANTIZED_CHOICES)}; then gradients pass quantizations, and integer "
    "weights are trained too.",
)
DIFFERENTIATOR = typer.Option(
    TrainingSettings.differentiator,
    help=f"Who makes the gradient graph: {', '.join(DIFFERENTIATOR_NAMES)}; auto is onnxruntime's builder "
    "for the target ort-training where it is installed and right, and own otherwise.",
)
T_SCOPE = typer.Option(
    list(_T.t_scope),
    metavar="weights|all-linear|GLOB",
    help="Parameters that T acts on; a glob may be repeated.",
)
GRANULARITY = typer.Option(
    _T.granularity, help=f"Of r: {', '.join(GRANULARITIES)}; auto is element where sizes are fixed."
)
ENCAPSULATION = typer.Option(
    _T.encapsulation,
    help=f"How T comes in: {' or '.join(ENCAPSULATIONS)}, of twins. The numbers are the same.",
)
RANDOM_SIZE = typer.Option(
    [], metavar="AXIS=N", help="Size of an open axis of made-up data; may be repeated."
)
TARGET = typer.Option(
    None,
    help="onnxruntime's training session, or one step as a model for any onnxruntime: "
    f"{' or '.join(TARGETS)}; by default the former where onnxruntime-training is installed.",
)

COMPUTE = typer.Option(
    ComputeSettings.compute,
    help=f"Numbers of matrix products and convolutions: {' or '.join(CHOICES)} (of the target onnx).",
)
LOSS_SCALE = typer.Option(
    None,
    metavar="N|dynamic",
    parser=text_or_numbers,
    help="Of float16: what the loss's gradient is multiplied by; by default dynamic.",
)
MEMORY_LIMIT = typer.Option(
    None,
    metavar="SIZE",
    help="Say the largest batch for which training takes no more memory than this, as 4GB or 512MB.",
)
