"""Squared differences up to a size of 1, absolute ones beyond (Huber 1964)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.transforms.losses.loss import Loss, reduced

if TYPE_CHECKING:
    import onnx_ir as ir

    from svgd_onnx.transforms.writer import Writer


class Huber(Loss):
    """mean of d^2 / 2 where |d| <= 1 and |d| - 1/2 elsewhere, d = prediction - target.

    Both are of one shape, float32. With c, d cut off at -1 and 1, that is c (d - c / 2).
    """

    name = "huber"

    def build(
        self, write: Writer, prediction: ir.Value, target: ir.Value | None, settings: LossSettings
    ) -> ir.Value:
        difference = write.node("Sub", prediction, target)
        cut = write.node("Clip", difference, write.scalar(-1), write.scalar(1))
        rest = write.node("Sub", difference, write.node("Mul", cut, write.scalar(0.5)))
        return reduced(write, write.node("Mul", cut, rest), settings)
