"""Activations: an operator of onnxruntime's training set where there is one, else dY times the slope.

Where an activation has a kink, the slope there is PyTorch's.
"""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule, Gradients
from svgd_onnx.transforms.differentiate.masked_rows import without_nan
from svgd_onnx.transforms.rule import inputs_of, integer, number, text

_SELU_ALPHA, _SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875


def _of_output(op_type: str) -> GradientRule:
    return lambda back: back.training(op_type, back.dy, back.y)


def _along_axis(op_type: str) -> GradientRule:
    def rule(back: Backward) -> Gradients:
        axis = integer(back.node, "axis", -1)
        return back.training(op_type, back.dy, without_nan(back.y, back.write), axis=axis)

    return rule


def _where(back: Backward, condition: ir.Value, slope: float) -> ir.Value:
    """dY where the condition holds, elsewhere dY times a slope."""
    write = back.write
    other = write.scalar(0) if slope == 0 else write.node("Mul", back.dy, write.scalar(slope))
    return write.node("Where", condition, back.dy, other)


def _above(back: Backward, threshold: float = 0) -> ir.Value:
    return back.write.node("Greater", back.x, back.write.scalar(threshold))


def leaky_relu(back: Backward) -> Gradients:
    """The training set's LeakyReluGrad reads the sign of y for that of x, which takes an alpha above 0."""
    alpha = number(back.node, "alpha", 0.01)
    if alpha > 0:
        return back.training("LeakyReluGrad", back.dy, back.y, alpha=alpha)
    return [_where(back, _above(back), alpha)]


def p_relu(back: Backward) -> Gradients:
    x, slope = inputs_of(back.node, 2)
    node, above = back.write.node, _above(back)
    return back.broadcast(
        lambda: node("Where", above, back.dy, node("Mul", back.dy, slope)),
        lambda: node("Where", above, back.write.scalar(0), node("Mul", back.dy, x)),
    )


def gelu(back: Backward) -> Gradients:
    fast = text(back.node, "approximate", "none") == "tanh"
    return back.training("FastGeluGrad" if fast else "GeluGrad", back.dy, back.x)


def _falling(back: Backward, above: float, scale: float, shift: float) -> Gradients:
    """y = `above` x over 0, and below an exponential, whose slope is scale y + shift."""
    write = back.write
    scaled = back.y if scale == 1 else write.node("Mul", back.y, write.scalar(scale))
    below = write.node("Add", scaled, write.scalar(shift))
    slope = write.node("Where", _above(back), write.scalar(above), below)
    return [write.node("Mul", back.dy, slope)]


def elu(back: Backward) -> Gradients:
    return _falling(back, 1, 1, number(back.node, "alpha", 1.0))


def celu(back: Backward) -> Gradients:
    return _falling(back, 1, 1 / number(back.node, "alpha", 1.0), 1)


def selu(back: Backward) -> Gradients:
    gamma = number(back.node, "gamma", _SELU_GAMMA)
    return _falling(back, gamma, 1, gamma * number(back.node, "alpha", _SELU_ALPHA))


def softplus(back: Backward) -> Gradients:
    return [back.write.node("Mul", back.dy, back.write.node("Sigmoid", back.x))]


def softsign(back: Backward) -> Gradients:
    """1 / (1 + |x|)^2"""
    write = back.write
    root = write.node("Add", write.node("Abs", back.x), write.scalar(1))
    return [write.node("Div", back.dy, write.node("Mul", root, root))]


def mish(back: Backward) -> Gradients:
    """t + x (1 - t^2) sigmoid(x) for t = tanh(softplus(x))"""
    write = back.write
    t = write.node("Tanh", write.node("Softplus", back.x))
    rest = write.node("Sub", write.scalar(1), write.node("Mul", t, t))
    second = write.node("Mul", write.node("Mul", back.x, write.node("Sigmoid", back.x)), rest)
    return [write.node("Mul", back.dy, write.node("Add", t, second))]


def hard_sigmoid(back: Backward) -> Gradients:
    """alpha between the bounds, 0 at them."""
    write = back.write
    inside = write.node(
        "And",
        write.node("Greater", back.y, write.scalar(0)),
        write.node("Less", back.y, write.scalar(1)),
    )
    slope = write.scalar(number(back.node, "alpha", 0.2))
    return [write.node("Where", inside, write.node("Mul", back.dy, slope), write.scalar(0))]


def hard_swish(back: Backward) -> Gradients:
    """0 up to -3, x / 3 + 1/2 on to 3, from there 1."""
    write = back.write
    line = write.node("Add", write.node("Mul", back.x, write.scalar(1 / 3)), write.scalar(0.5))
    upper = write.node("Less", back.x, write.scalar(3))
    slope = write.node("Where", upper, line, write.scalar(1))
    return [
        write.node("Where", _above(back, -3), write.node("Mul", back.dy, slope), write.scalar(0))
    ]


def thresholded_relu(back: Backward) -> Gradients:
    return [_where(back, _above(back, number(back.node, "alpha", 1.0)), 0)]


def shrink(back: Backward) -> Gradients:
    write = back.write
    far = write.node(
        "Greater", write.node("Abs", back.x), write.scalar(number(back.node, "lambd", 0.5))
    )
    return [_where(back, far, 0)]


ACTIVATIONS: dict[str, GradientRule] = {
    "Celu": celu,
    "Elu": elu,
    "Gelu": gelu,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": hard_swish,
    "LeakyRelu": leaky_relu,
    "LogSoftmax": _along_axis("LogSoftmaxGrad_13"),
    "Mish": mish,
    "PRelu": p_relu,
    "Relu": _of_output("ReluGrad"),
    "Selu": selu,
    "Shrink": shrink,
    "Sigmoid": _of_output("SigmoidGrad"),
    "Softmax": _along_axis("SoftmaxGrad_13"),
    "Softplus": softplus,
    "Softsign": softsign,
    "Tanh": _of_output("TanhGrad"),
    "ThresholdedRelu": thresholded_relu,
}
