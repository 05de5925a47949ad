"""Activations that onnxruntime fuses, alone and with the bias before them.

Formulas: ContribOperators.md of onnxruntime.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx_ir as ir

from svgd_onnx.transforms.canonicalize.fused.fused_operator import FusedOperator
from svgd_onnx.transforms.rule import RefusedError, input_of, inputs_of, number
from svgd_onnx.transforms.writer import Writer

# What other fused operators end in, and the numbers that each takes, in their order.
_NUMBERS: dict[str, tuple[str, ...]] = {
    "Clip": ("min", "max"),
    "Elu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "LeakyRelu": ("alpha",),
    "Relu": (),
    "Selu": ("alpha", "gamma"),
    "Sigmoid": (),
    "Softplus": (),
    "Softsign": (),
    "Tanh": (),
    "ThresholdedRelu": ("alpha",),
}


def numbers_of(activation: str) -> tuple[str, ...]:
    """The names of the numbers that an activation within a fused operator takes.

    Raises:
        RefusedError: there is no such activation.
    """
    if activation and activation not in _NUMBERS:
        raise RefusedError(f"its activation {activation} is not known")
    return _NUMBERS.get(activation, ())


def activated(
    write: Writer, value: ir.Value, activation: str, numbers: Mapping[str, float]
) -> ir.Value:
    """What an activation makes of a value; without one, the value.

    Raises:
        RefusedError: there is no such activation, or numbers of it are missing.
    """
    for name in numbers_of(activation):
        if name not in numbers:
            raise RefusedError(f"its activation {activation} is given no {name}")
    if not activation:
        return value
    if activation == "Clip":
        return write.node("Clip", value, *(write.scalar(numbers[name]) for name in ("min", "max")))
    return write.node(activation, value, **numbers)


def exact_gelu(write: Writer, x: ir.Value) -> ir.Value:
    """x (1 + erf(x / sqrt(2))) / 2."""
    erf = write.node("Erf", write.node("Mul", x, write.scalar(math.sqrt(0.5))))
    half = write.node("Mul", x, write.scalar(0.5))
    return write.node("Mul", half, write.node("Add", erf, write.scalar(1.0)))


def tanh_gelu(write: Writer, x: ir.Value) -> ir.Value:
    """x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2."""
    cube = write.node("Mul", x, write.node("Mul", x, x))
    inner = write.node("Add", x, write.node("Mul", cube, write.scalar(0.044715)))
    tanh = write.node("Tanh", write.node("Mul", inner, write.scalar(math.sqrt(2 / math.pi))))
    half = write.node("Mul", x, write.scalar(0.5))
    return write.node("Mul", half, write.node("Add", tanh, write.scalar(1.0)))


def with_bias(write: Writer, x: ir.Value, bias: ir.Value | None) -> ir.Value:
    """The sum of a value and a bias, if there is one."""
    return x if bias is None else write.node("Add", x, bias)


def gelu(node: ir.Node, write: Writer) -> ir.Value:
    """Gelu, and BiasGelu, which has a second input."""
    (x,) = inputs_of(node, 1)
    return exact_gelu(write, with_bias(write, x, input_of(node, 1)))


def fast_gelu(node: ir.Node, write: Writer) -> ir.Value:
    (x,) = inputs_of(node, 1)
    return tanh_gelu(write, with_bias(write, x, input_of(node, 1)))


def quick_gelu(node: ir.Node, write: Writer) -> ir.Value:
    """x sigmoid(alpha x)."""
    (x,) = inputs_of(node, 1)
    steep = write.node("Mul", x, write.scalar(number(node, "alpha", 1.702)))
    return write.node("Mul", x, write.node("Sigmoid", steep))


ACTIVATIONS = {
    "BiasGelu": FusedOperator(gelu, inputs=2),
    "FastGelu": FusedOperator(fast_gelu, inputs=2),
    "Gelu": FusedOperator(gelu, inputs=1),
    "QuickGelu": FusedOperator(quick_gelu, inputs=1, attributes=frozenset({"alpha"})),
}
