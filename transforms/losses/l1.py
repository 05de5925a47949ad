"""The mean of absolute differences."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.losses.loss import Loss, mean, same_shape


def _build(prediction: ir.Value, target: ir.Value) -> list[ir.Node]:
    difference = ir.node("Sub", [prediction, target])
    absolute = ir.node("Abs", [difference.outputs[0]])
    return [difference, absolute, mean(absolute.outputs[0])]


L1 = Loss("target", ir.DataType.FLOAT, same_shape, _build)
"""mean |prediction - target| over all elements; both of one shape, float32."""
