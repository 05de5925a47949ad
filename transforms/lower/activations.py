"""Activations, and their gradients from dY and the input x or the output y."""

from __future__ import annotations

import math

import onnx_ir as ir

from svgd_onnx.transforms.lower.lowering import Lowering
from svgd_onnx.transforms.rule import RefusedError, input_of, inputs_of, number
from svgd_onnx.transforms.writer import Writer

# HardSigmoid of this slope is 1 above 1e-30 and 0 from 0 down: one quick operator everywhere, where
# a comparison and Where or Cast take ten times as long on onnxruntime's CPU provider.
_STEEP = 1e30
# As good as 0, and below it, so that 0 stays 0: OpenVINO's provider takes a beta of 0 for one that is not
# given, which is 0.5.
_BELOW_ZERO = -1e-20

_GELU_INNER = math.sqrt(2 / math.pi)
_GELU_CUBIC = 0.044715


def step(write: Writer, value: ir.Value) -> ir.Value:
    """1 where the value is positive, 0 elsewhere."""
    return write.node("HardSigmoid", value, alpha=_STEEP, beta=_BELOW_ZERO)


def _relu_gradient(node: ir.Node, write: Writer) -> ir.Value:
    gradient, output = inputs_of(node, 2)
    return write.node("Mul", gradient, step(write, output))


def _leaky_relu_gradient(node: ir.Node, write: Writer) -> ir.Value:
    # The output has the sign of the input, if alpha is positive.
    gradient, output = inputs_of(node, 2)
    alpha = number(node, "alpha", 0.01)
    above = write.node("Mul", step(write, output), write.scalar(1 - alpha))
    return write.node("Mul", gradient, write.node("Add", above, write.scalar(alpha)))


def _sigmoid_gradient(node: ir.Node, write: Writer) -> ir.Value:
    gradient, output = inputs_of(node, 2)
    slope = write.node("Mul", output, write.node("Sub", write.scalar(1), output))
    return write.node("Mul", gradient, slope)


def _tanh_gradient(node: ir.Node, write: Writer) -> ir.Value:
    gradient, output = inputs_of(node, 2)
    square = write.node("Mul", output, output)
    return write.node("Mul", gradient, write.node("Sub", write.scalar(1), square))


def _gelu_gradient(node: ir.Node, write: Writer) -> ir.Value:
    # Phi(x) + x phi(x)
    gradient, x = inputs_of(node, 2)
    error = write.node("Erf", write.node("Mul", x, write.scalar(math.sqrt(0.5))))
    cumulative = write.node("Mul", write.node("Add", error, write.scalar(1)), write.scalar(0.5))
    exponent = write.node("Mul", write.node("Mul", x, x), write.scalar(-0.5))
    density = write.node(
        "Mul", write.node("Exp", exponent), write.scalar(1 / math.sqrt(2 * math.pi))
    )
    slope = write.node("Add", cumulative, write.node("Mul", x, density))
    return write.node("Mul", gradient, slope)


def _fast_gelu_tanh(write: Writer, x: ir.Value) -> ir.Value:
    """tanh(sqrt(2 / pi) (x + 0.044715 x^3))"""
    square = write.node("Mul", x, x)
    inner = write.node("Mul", square, write.scalar(_GELU_INNER * _GELU_CUBIC))
    inner = write.node("Add", inner, write.scalar(_GELU_INNER))
    return write.node("Tanh", write.node("Mul", x, inner))


def _fast_gelu(node: ir.Node, write: Writer) -> ir.Value:
    _refuse_bias(node, 1)
    (x,) = inputs_of(node, 1)
    above = write.node("Add", _fast_gelu_tanh(write, x), write.scalar(1))
    return write.node("Mul", write.node("Mul", x, write.scalar(0.5)), above)


def _fast_gelu_gradient(node: ir.Node, write: Writer) -> ir.Value:
    _refuse_bias(node, 2)
    gradient, x = inputs_of(node, 2)
    tanh = _fast_gelu_tanh(write, x)
    half = write.node("Mul", write.node("Add", tanh, write.scalar(1)), write.scalar(0.5))
    # x / 2 (1 - tanh^2) times the derivative of tanh's argument
    inner = write.node("Mul", write.node("Mul", x, x), write.scalar(3 * _GELU_INNER * _GELU_CUBIC))
    inner = write.node("Mul", x, write.node("Add", inner, write.scalar(_GELU_INNER)))
    rest = write.node("Sub", write.scalar(1), write.node("Mul", tanh, tanh))
    product = write.node("Mul", write.node("Mul", inner, rest), write.scalar(0.5))
    return write.node("Mul", gradient, write.node("Add", half, product))


def _refuse_bias(node: ir.Node, position: int) -> None:
    if input_of(node, position) is not None:
        raise RefusedError("it adds a bias")


def _scaled_sigmoid(write: Writer, x: ir.Value, alpha: float) -> ir.Value:
    return write.node("Sigmoid", x if alpha == 1 else write.node("Mul", x, write.scalar(alpha)))


def _quick_gelu(node: ir.Node, write: Writer) -> ir.Value:
    (x,) = inputs_of(node, 1)
    return write.node("Mul", x, _scaled_sigmoid(write, x, number(node, "alpha", 1.702)))


def _quick_gelu_gradient(node: ir.Node, write: Writer) -> ir.Value:
    # s + alpha x s (1 - s) for s = sigmoid(alpha x)
    gradient, x = inputs_of(node, 2)
    alpha = number(node, "alpha", 1.702)
    sigmoid = _scaled_sigmoid(write, x, alpha)
    rest = write.node("Mul", x, write.node("Sub", write.scalar(1), sigmoid))
    if alpha != 1:
        rest = write.node("Mul", rest, write.scalar(alpha))
    slope = write.node("Mul", sigmoid, write.node("Add", rest, write.scalar(1)))
    return write.node("Mul", gradient, slope)


ACTIVATIONS: dict[str, Lowering] = {
    "FastGelu": Lowering(_fast_gelu, forward=True),
    "FastGeluGrad": Lowering(_fast_gelu_gradient),
    "GeluGrad": Lowering(_gelu_gradient),
    "LeakyReluGrad": Lowering(_leaky_relu_gradient),
    "QuickGelu": Lowering(_quick_gelu, forward=True),
    "QuickGeluGrad": Lowering(_quick_gelu_gradient),
    "ReluGrad": Lowering(_relu_gradient),
    "SigmoidGrad": Lowering(_sigmoid_gradient),
    "TanhGrad": Lowering(_tanh_gradient),
}
