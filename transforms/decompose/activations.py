"""Activations, from operators that neither overflow nor lose a gradient on the way.

The parts of x above and below 0 are (x + |x|) / 2 and (x - |x|) / 2, whose derivative at 0 is 1/2, so
that smooth functions made of both keep their derivative there. Where(x < 0, e^x, x) would not do: the
gradient of the branch not taken is 0 times infinity.
"""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.canonicalize.fused.activations import tanh_gelu
from svgd_onnx.transforms.rule import Rule, inputs_of, number, text
from svgd_onnx.transforms.writer import Writer

_SELU_ALPHA, _SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875


def _above(write: Writer, x: ir.Value) -> ir.Value:
    return write.node("Mul", write.node("Add", x, write.node("Abs", x)), write.scalar(0.5))


def _below(write: Writer, x: ir.Value) -> ir.Value:
    return write.node("Mul", write.node("Sub", x, write.node("Abs", x)), write.scalar(0.5))


def exponential_unit(write: Writer, x: ir.Value, alpha: float, sharpness: float = 1.0) -> ir.Value:
    """max(x, 0) + alpha (e^(sharpness min(x, 0)) - 1)."""
    below = _below(write, x)
    if sharpness != 1.0:
        below = write.node("Mul", below, write.scalar(sharpness))
    falling = write.node("Sub", write.node("Exp", below), write.scalar(1.0))
    return write.node("Add", _above(write, x), write.node("Mul", falling, write.scalar(alpha)))


def soft_maximum(write: Writer, x: ir.Value) -> ir.Value:
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|)."""
    exponential = write.node("Exp", write.node("Neg", write.node("Abs", x)))
    logarithm = write.node("Log", write.node("Add", exponential, write.scalar(1.0)))
    return write.node("Add", _above(write, x), logarithm)


def clipped_line(write: Writer, x: ir.Value, alpha: float, beta: float) -> ir.Value:
    """alpha x + beta, between 0 and 1."""
    line = write.node("Add", write.node("Mul", x, write.scalar(alpha)), write.scalar(beta))
    return write.node("Clip", line, write.scalar(0.0), write.scalar(1.0))


def elu(node: ir.Node, write: Writer) -> ir.Value:
    (x,) = inputs_of(node, 1)
    return exponential_unit(write, x, number(node, "alpha", 1.0))


def celu(node: ir.Node, write: Writer) -> ir.Value:
    (x,) = inputs_of(node, 1)
    alpha = number(node, "alpha", 1.0)
    return exponential_unit(write, x, alpha, 1.0 / alpha)


def selu(node: ir.Node, write: Writer) -> ir.Value:
    (x,) = inputs_of(node, 1)
    value = exponential_unit(write, x, number(node, "alpha", _SELU_ALPHA))
    return write.node("Mul", value, write.scalar(number(node, "gamma", _SELU_GAMMA)))


def softplus(node: ir.Node, write: Writer) -> ir.Value:
    (x,) = inputs_of(node, 1)
    return soft_maximum(write, x)


def softsign(node: ir.Node, write: Writer) -> ir.Value:
    (x,) = inputs_of(node, 1)
    return write.node("Div", x, write.node("Add", write.node("Abs", x), write.scalar(1.0)))


def mish(node: ir.Node, write: Writer) -> ir.Value:
    (x,) = inputs_of(node, 1)
    return write.node("Mul", x, write.node("Tanh", soft_maximum(write, x)))


def hard_sigmoid(node: ir.Node, write: Writer) -> ir.Value:
    (x,) = inputs_of(node, 1)
    return clipped_line(write, x, number(node, "alpha", 0.2), number(node, "beta", 0.5))


def hard_swish(node: ir.Node, write: Writer) -> ir.Value:
    (x,) = inputs_of(node, 1)
    return write.node("Mul", x, clipped_line(write, x, 1.0 / 6.0, 0.5))


def thresholded_relu(node: ir.Node, write: Writer) -> ir.Value:
    (x,) = inputs_of(node, 1)
    above = write.node("Greater", x, write.scalar(number(node, "alpha", 1.0)))
    return write.node("Mul", x, write.cast(above, "float32"))


def p_relu(node: ir.Node, write: Writer) -> ir.Value:
    x, slope = inputs_of(node, 2)
    return write.node("Add", _above(write, x), write.node("Mul", slope, _below(write, x)))


def gelu(node: ir.Node, write: Writer) -> ir.Value | None:
    # onnxruntime takes every Gelu for the exact one.
    if text(node, "approximate", "none") != "tanh":
        return None
    (x,) = inputs_of(node, 1)
    return tanh_gelu(write, x)


ACTIVATIONS: dict[str, Rule] = {
    "Celu": celu,
    "Elu": elu,
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "Mish": mish,
    "PRelu": p_relu,
    "Selu": selu,
    "Softplus": softplus,
    "Softsign": softsign,
    "ThresholdedRelu": thresholded_relu,
}
