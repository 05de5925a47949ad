"""From the inference form to the gradient graph."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import onnx_ir as ir

from svgd_onnx.transforms.differentiate.keep_only_loss import KeepOnlyLoss
from svgd_onnx.transforms.differentiate.parameters_as_inputs import ParametersAsInputs
from svgd_onnx.transforms.differentiate.separate_rearrangements import SeparateRearrangements
from svgd_onnx.transforms.differentiate.split_parameter_uses import SplitParameterUses
from svgd_onnx.transforms.differentiate.training_mode import TrainingMode
from svgd_onnx.transforms.names import gradient_name
from svgd_onnx.transforms.passes import run

__all__ = [
    "KeepOnlyLoss",
    "ParametersAsInputs",
    "SeparateRearrangements",
    "SplitParameterUses",
    "TrainingMode",
    "gradient_name",
    "training_form",
]


def training_form(
    model: ir.Model,
    trainable: Sequence[str],
    untrained: Sequence[str],
    *,
    frozen: Collection[str] = (),
    freeze_bn: bool = False,
    dropout: bool = True,
) -> dict[str, list[str]]:
    """Turns a canonical model, in place, into what `differentiate` takes.

    Args:
        model: inference mode, weights as initializers.
        trainable: initializers that get a gradient.
        untrained: initializers that leave the graph too, but get none.
        frozen: those of them that are learned, but left as they are.
        freeze_bn: whether every BatchNormalization stays in inference mode; else those do whose scale and
            shift are frozen.
        dropout: whether Dropout drops.

    Returns:
        For each trainable parameter the graph inputs that stand for it, one for each use.
    """
    split = SplitParameterUses(trainable)
    run(
        model,
        TrainingMode(batch_normalization=not freeze_bn, frozen=frozen, dropout=dropout),
        ParametersAsInputs([*trainable, *untrained]),
        SeparateRearrangements(trainable),
        split,
    )
    return split.copies
