"""Gradients of activations, in one pass over memory."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.fuse.operator import operator
from svgd_onnx.transforms.rule import Rule, Written, inputs_of
from svgd_onnx.transforms.writer import Writer

RELU_GRADIENT = "ReluGradient"


def _relu_gradient(node: ir.Node, write: Writer) -> Written:
    return operator(write, RELU_GRADIENT, inputs_of(node, 2))


ACTIVATIONS: dict[str, Rule] = {"ReluGrad": _relu_gradient}
