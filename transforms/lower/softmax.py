"""Gradients of Softmax and LogSoftmax, from dY and the output y."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.lower.lowering import Lowering
from svgd_onnx.transforms.rule import inputs_of, integer
from svgd_onnx.transforms.writer import Writer


def _softmax_gradient(node: ir.Node, write: Writer) -> ir.Value:
    gradient, output = inputs_of(node, 2)
    product = write.node("Mul", gradient, output)
    total = write.reduce("ReduceSum", product, [integer(node, "axis", -1)])
    return write.node("Sub", product, write.node("Mul", output, total))


def _log_softmax_gradient(node: ir.Node, write: Writer) -> ir.Value:
    gradient, output = inputs_of(node, 2)
    total = write.reduce("ReduceSum", gradient, [integer(node, "axis", -1)])
    return write.node("Sub", gradient, write.node("Mul", write.node("Exp", output), total))


SOFTMAX: dict[str, Lowering] = {
    "LogSoftmaxGrad_13": Lowering(_log_softmax_gradient),
    "SoftmaxGrad_13": Lowering(_softmax_gradient),
}
