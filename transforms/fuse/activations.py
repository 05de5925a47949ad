"""Gradients of activations, in one pass over memory."""

from __future__ import annotations

import math

import onnx_ir as ir

from svgd_onnx.transforms.fast_operators import RELU_GRADIENT
from svgd_onnx.transforms.fuse.operator import operator
from svgd_onnx.transforms.rule import RefusedError, Rule, Written, inputs_of, number
from svgd_onnx.transforms.writer import Writer

GELU_GRADIENT = "GeluGradient"
LOGISTIC_UNIT_GRADIENT = "LogisticUnitGradient"

# (1 + tanh(u)) / 2 is the logistic function at 2 u.
_LINEAR = 2 * math.sqrt(2 / math.pi)
_CUBIC = 0.044715 * _LINEAR


def _relu_gradient(node: ir.Node, write: Writer) -> Written:
    return operator(write, RELU_GRADIENT, inputs_of(node, 2))


def _gelu_gradient(node: ir.Node, write: Writer) -> Written:
    return operator(write, GELU_GRADIENT, inputs_of(node, 2))


def _fast_gelu_gradient(node: ir.Node, write: Writer) -> Written:
    if len(node.inputs) > 2:
        raise RefusedError("it adds a bias")
    attributes = {"linear": _LINEAR, "cubic": _CUBIC}
    return operator(write, LOGISTIC_UNIT_GRADIENT, inputs_of(node, 2), attributes)


def _quick_gelu_gradient(node: ir.Node, write: Writer) -> Written:
    attributes = {"linear": number(node, "alpha", 1.702), "cubic": 0.0}
    return operator(write, LOGISTIC_UNIT_GRADIENT, inputs_of(node, 2), attributes)


ACTIVATIONS: dict[str, Rule] = {
    "FastGeluGrad": _fast_gelu_gradient,
    "GeluGrad": _gelu_gradient,
    "QuickGeluGrad": _quick_gelu_gradient,
    "ReluGrad": _relu_gradient,
}
