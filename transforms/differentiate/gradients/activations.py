"""Activations whose gradient is an operator of onnxruntime's training set."""

from __future__ import annotations

from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule, Gradients
from svgd_onnx.transforms.rule import RefusedError, integer, number, text


def _of_output(op_type: str) -> GradientRule:
    return lambda back: back.training(op_type, back.dy, back.y)


def leaky_relu(back: Backward) -> Gradients:
    """The training set's LeakyReluGrad reads the sign of y for that of x, which takes an alpha above 0."""
    alpha = number(back.node, "alpha", 0.01)
    if alpha > 0:
        return back.training("LeakyReluGrad", back.dy, back.y, alpha=alpha)
    write = back.write
    above = write.node("Greater", back.x, write.scalar(0))
    return [
        write.node("Mul", back.dy, write.node("Where", above, write.scalar(1), write.scalar(alpha)))
    ]


def gelu(back: Backward) -> Gradients:
    if text(back.node, "approximate", "none") != "none":
        raise RefusedError("it is the approximate one")
    return back.training("GeluGrad", back.dy, back.x)


def _along_axis(op_type: str) -> GradientRule:
    return lambda back: back.training(op_type, back.dy, back.y, axis=integer(back.node, "axis", -1))


ACTIVATIONS: dict[str, GradientRule] = {
    "Gelu": gelu,
    "LeakyRelu": leaky_relu,
    "LogSoftmax": _along_axis("LogSoftmaxGrad_13"),
    "Relu": _of_output("ReluGrad"),
    "Sigmoid": _of_output("SigmoidGrad"),
    "Softmax": _along_axis("SoftmaxGrad_13"),
    "Tanh": _of_output("TanhGrad"),
}
