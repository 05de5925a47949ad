"""The mean of squared differences."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.transforms.losses.loss import Loss, reduce, same_shape


def _build(prediction: ir.Value, target: ir.Value, settings: LossSettings) -> list[ir.Node]:
    difference = ir.node("Sub", [prediction, target])
    square = ir.node("Mul", [difference.outputs[0], difference.outputs[0]])
    return [difference, square, reduce(square.outputs[0], settings)]


MEAN_SQUARED_ERROR = Loss("target", ir.DataType.FLOAT, same_shape, _build)
"""mean (prediction - target)^2 over all elements; both of one shape, float32."""
