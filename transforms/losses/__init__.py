"""The losses, one file each, in one table. Needs neither onnx nor onnx-ir: `add_loss` does, apart."""

from __future__ import annotations

from dataclasses import fields

from svgd_onnx.errors import UserError, check_choice, option
from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.transforms.losses.binary_cross_entropy import BinaryCrossEntropy
from svgd_onnx.transforms.losses.cross_entropy import CrossEntropy
from svgd_onnx.transforms.losses.focal import Focal
from svgd_onnx.transforms.losses.hinge import Hinge
from svgd_onnx.transforms.losses.huber import Huber
from svgd_onnx.transforms.losses.kl_divergence import KLDivergence
from svgd_onnx.transforms.losses.l1 import L1
from svgd_onnx.transforms.losses.loss import Loss
from svgd_onnx.transforms.losses.loss_of_file import LossOfFile
from svgd_onnx.transforms.losses.mean_squared_error import MeanSquaredError
from svgd_onnx.transforms.losses.own_loss import OwnLoss
from svgd_onnx.transforms.losses.triplet import Triplet

LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in (
        CrossEntropy(),
        MeanSquaredError(),
        BinaryCrossEntropy(),
        L1(),
        Huber(),
        KLDivergence(),
        Focal(),
        Hinge(),
        Triplet(),
        OwnLoss(),
    )
}

__all__ = ["LOSSES", "Loss", "check_settings", "is_file", "loss_if_known", "loss_named"]


def loss_named(name: str) -> Loss:
    """A loss of the table, or what there is to know of one that is a file.

    Raises:
        UserError: the table has none of that name; the message lists them.
    """
    loss = loss_if_known(name)
    if loss is None:
        check_choice("loss", name, [*LOSSES, "FILE.onnx"])
        raise AssertionError(name)
    return loss


def loss_if_known(name: str) -> Loss | None:
    """As `loss_named`, but None where there is none."""
    return LossOfFile(name) if is_file(name) else LOSSES.get(name)


def is_file(name: str) -> bool:
    """Whether a loss is told by the name of an ONNX file."""
    return name.endswith(".onnx")


def check_settings(loss: Loss, settings: LossSettings) -> None:
    """Refuses settings that a loss does not have, and values out of range.

    Raises:
        UserError: names the setting.
    """
    for field in fields(LossSettings):
        if field.name in loss.settings or getattr(settings, field.name) == field.default:
            continue
        if not loss.settings:
            why = (
                "the loss is the model's own" if loss.target is None else "the file says all of it"
            )
            raise UserError(
                f"{option(field.name)} does not go with {option('loss', loss.name)}: {why}."
            )
        having = [
            option("loss", each.name) for each in LOSSES.values() if field.name in each.settings
        ]
        raise UserError(f"{option(field.name)} goes with {' or '.join(having)} only.")
    settings.check()
