"""The mean of absolute differences."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.transforms.losses.loss import Loss, reduce, same_shape


def _build(prediction: ir.Value, target: ir.Value, settings: LossSettings) -> list[ir.Node]:
    difference = ir.node("Sub", [prediction, target])
    absolute = ir.node("Abs", [difference.outputs[0]])
    return [difference, absolute, reduce(absolute.outputs[0], settings)]


L1 = Loss("target", ir.DataType.FLOAT, same_shape, _build)
"""mean |prediction - target| over all elements; both of one shape, float32."""
