"""The gradient of SoftmaxCrossEntropyLoss in one pass over its log-probabilities."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.rule import (
    RefusedError,
    Rule,
    Written,
    inputs_of,
    known_rank,
    text,
)
from svgd_onnx.transforms.virtualize.operator_t import DOMAIN
from svgd_onnx.transforms.writer import Writer

GRADIENT = "CrossEntropyGradient"


def _gradient(node: ir.Node, write: Writer) -> Written:
    inputs = gradient, log_probability, label = inputs_of(node, 3)
    reduction = text(node, "reduction", "mean")
    if len(node.inputs) > 3:
        raise RefusedError("its classes have weights")
    if reduction not in ("mean", "sum") or known_rank(log_probability) != 2:
        raise RefusedError("it is not of rows, or not of one number")
    if any(each.dtype not in (None, ir.DataType.FLOAT) for each in (gradient, log_probability)):
        raise RefusedError(f"it is of {log_probability.dtype}")
    if label.dtype not in (None, ir.DataType.INT64):
        raise RefusedError(f"its labels are of {label.dtype}")
    attributes = {"mean": int(reduction == "mean")}
    ignored = node.attributes.get("ignore_index")
    if ignored is not None:
        attributes["ignored"] = ignored.as_int()
    return write.nodes_with(GRADIENT, inputs, attributes, 1, DOMAIN)


CROSS_ENTROPY: dict[str, Rule] = {"SoftmaxCrossEntropyLossGrad": _gradient}
