"""The mean of squared differences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.transforms.losses.loss import Loss, reduced

if TYPE_CHECKING:
    import onnx_ir as ir

    from svgd_onnx.transforms.writer import Writer


class MeanSquaredError(Loss):
    """mean (prediction - target)^2 over all elements; both of one shape, float32."""

    name = "mse"

    def build(
        self, write: Writer, prediction: ir.Value, target: ir.Value | None, settings: LossSettings
    ) -> ir.Value:
        difference = write.node("Sub", prediction, target)
        return reduced(write, write.node("Mul", difference, difference), settings)
