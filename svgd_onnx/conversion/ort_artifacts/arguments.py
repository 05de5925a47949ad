"""The arguments of onnxruntime's `generate_artifacts` as options of `convert`."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from svgd_onnx.errors import UserError, listed
from svgd_onnx.transforms.losses import LOSSES
from svgd_onnx.transforms.optimizers import SVGD as SVGD_NAME
from svgd_onnx.transforms.virtualize.settings import PORTABLE, VirtualGradientSettings

ADAMW, SGD = "adamw", "sgd"
# By the names of onnxruntime's enumerations, which cannot be imported: its package imports PyTorch.
_LOSSES = {
    "BCEWithLogitsLoss": "bce-with-logits",
    "CrossEntropyLoss": "cross-entropy",
    "L1Loss": "l1",
    "MSELoss": "mse",
}
_OPTIMIZERS = {"AdamW": ADAMW, "SGD": SGD}


@dataclass(frozen=True)
class SVGD(VirtualGradientSettings):
    """SVGD as the optimizer of `svgd_onnx.generate_artifacts`.

    Attributes:
        scale, rho, epsilon, t_scope, granularity, gradient, encapsulation: as of `svgd_onnx.convert`.
        t_kernel: "portable", by which plain onnxruntime trains; for "fused" the session options need
            `svgd_onnx.custom_op_library()`.
        momentum: of the update; None for none.
        l1: lambda of L1 regularization.

    Example:
        >>> svgd_onnx.SVGD(scale=0.001, granularity="channel").t_kernel
        'portable'
    """

    t_kernel: str | None = PORTABLE
    momentum: float | None = None
    l1: float = 0.0


def loss_named(loss: Any) -> str:
    """The loss of a LossType of onnxruntime's, of a name of ours, or of None: the model's first output.

    Raises:
        UserError: it is something else, as a block of onnxblock is.
    """
    if loss is None:
        return "none"
    name = _LOSSES.get(getattr(loss, "name", ""), loss)
    if not isinstance(name, str) or name not in LOSSES:
        raise UserError(
            f"loss is {_shown(loss)}, which is not known here: give a LossType, or one of {', '.join(LOSSES)}."
        )
    return name


def optimizer_options(optimizer: Any) -> dict[str, Any]:
    """Options of `convert` for an OptimType of onnxruntime's, `SVGD`, or a name; for None those of SGD.

    Raises:
        UserError: it is something else, as a block of onnxblock is.
    """
    if isinstance(optimizer, SVGD):
        given = {name: value for name, value in asdict(optimizer).items() if value is not None}
        return {"optimizer": SVGD_NAME, **given}
    if optimizer == SVGD_NAME:
        return optimizer_options(SVGD())
    name = SGD if optimizer is None else _OPTIMIZERS.get(getattr(optimizer, "name", ""), optimizer)
    if name not in (ADAMW, SGD):
        raise UserError(
            f"optimizer is {_shown(optimizer)}, which is not known here: give an OptimType, svgd_onnx.SVGD(), "
            f"'{ADAMW}' or '{SGD}'."
        )
    return {"optimizer": name}


def parameter_options(
    requires_grad: Sequence[str] | None, frozen_params: Sequence[str] | None
) -> dict[str, Any]:
    """Options of `convert` for what is trained: without `requires_grad` all that is learned.

    Raises:
        UserError: a parameter is in both.
    """
    both = [name for name in requires_grad or () if name in (frozen_params or ())]
    if both:
        raise UserError(
            f"requires_grad and frozen_params both have {listed(repr(name) for name in both)}: leave that "
            "out of one."
        )
    if requires_grad is not None:
        return {"train": [glob.escape(name) for name in requires_grad]}
    return {"freeze": [glob.escape(name) for name in frozen_params or ()]}


def refuse(given: Mapping[str, Any]) -> None:
    """Refuses arguments of onnxruntime's function that have no counterpart here.

    Raises:
        UserError: says what to do instead.
    """
    for name, reason in _REFUSED.items():
        if given.get(name):
            raise UserError(f"{name} is not done here: {reason}.")


_REFUSED = {
    "ort_format": "python -m onnxruntime.tools.convert_onnx_models_to_ort makes .ort files of the models",
    "custom_op_library": "operators of a library have no gradient here; leave it out",
    "nominal_checkpoint": "a checkpoint without numbers would lack r and frozen parameters; leave it out",
}


def refuse_settings(settings: Mapping[str, Any], optimizer: str) -> None:
    """Refuses options of `convert` that onnxruntime's Module and Optimizer would not carry out.

    Raises:
        UserError: says what to do instead.
    """
    for name, (usual, reason) in _REFUSED_SETTINGS.items():
        if settings.get(name, usual) != usual:
            raise UserError(f"{name} is not done here: {reason}.")
    for name in ("rate", "weight_decay"):
        if optimizer == ADAMW and isinstance(settings.get(name), Mapping):
            raise UserError(
                f"{name} by globs is not done here under AdamW, which onnxruntime updates all by one operator: "
                "leave it out, or convert for svgd_onnx.Trainer."
            )


_REFUSED_SETTINGS = {
    "accumulation_steps": (
        1,
        "onnxruntime's Module adds gradients up until lazy_reset_grad; leave it out",
    ),
    "ema": (
        None,
        "onnxruntime has no place for averages; leave it out, or convert for svgd_onnx.Trainer",
    ),
    "proximal": (
        0,
        "onnxruntime has no place for anchors; leave it out, or convert for svgd_onnx.Trainer",
    ),
}


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) else f"a {type(value).__name__}"
