"""Cross-entropy between the sigmoid of logits and targets in [0, 1]."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.transforms.losses.loss import Loss, reduce, same_shape


def _constant(value: np.ndarray) -> ir.Node:
    return ir.node("Constant", [], {"value": ir.tensor(value)})


def _build(logits: ir.Value, target: ir.Value, settings: LossSettings) -> list[ir.Node]:
    # log(1 + e^x) is the log-sum-exp of (0, x), so -log_softmax((0, x))[0]: it neither overflows
    # nor has a kink at 0, and onnxruntime differentiates LogSoftmax exactly.
    last = _constant(np.array([-1], np.int64))
    first = _constant(np.array([0], np.int64))
    second = _constant(np.array([1], np.int64))
    zero = _constant(np.array(0, np.float32))
    column = ir.node("Unsqueeze", [logits, last.outputs[0]])
    zeros = ir.node("Mul", [column.outputs[0], zero.outputs[0]])
    pair = ir.node("Concat", [zeros.outputs[0], column.outputs[0]], {"axis": -1})
    log_softmax = ir.node("LogSoftmax", [pair.outputs[0]], {"axis": -1})
    picked = ir.node(
        "Slice", [log_softmax.outputs[0], first.outputs[0], second.outputs[0], last.outputs[0]]
    )
    log_probability = ir.node("Squeeze", [picked.outputs[0], last.outputs[0]])
    product = ir.node("Mul", [logits, target])
    negative = ir.node("Neg", [product.outputs[0]])
    loss = ir.node("Sub", [negative.outputs[0], log_probability.outputs[0]])
    nodes = [last, first, second, zero, column, zeros, pair, log_softmax, picked, log_probability]
    return [*nodes, product, negative, loss, reduce(loss.outputs[0], settings)]


BINARY_CROSS_ENTROPY = Loss(
    "target", ir.DataType.FLOAT, same_shape, _build, contains=frozenset({"Sigmoid"})
)
"""mean log(1 + e^x) - x t over all elements; logits x and targets t of one shape, float32."""
