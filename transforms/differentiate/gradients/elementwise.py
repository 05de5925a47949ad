"""Operators that act on each element by itself, and repeat operands of fewer elements."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule, Gradients
from svgd_onnx.transforms.rule import constant_value, input_of, inputs_of
from svgd_onnx.transforms.writer import Writer


def add(back: Backward) -> Gradients:
    return back.broadcast(*[lambda: back.dy] * len(back.wanted))


def sub(back: Backward) -> Gradients:
    return back.broadcast(lambda: back.dy, lambda: back.write.node("Neg", back.dy))


def mul(back: Backward) -> Gradients:
    a, b = inputs_of(back.node, 2)
    node = back.write.node
    return back.broadcast(lambda: node("Mul", back.dy, b), lambda: node("Mul", back.dy, a))


def div(back: Backward) -> Gradients:
    """dA = dY / B, dB = -dY Y / B"""
    _, b = inputs_of(back.node, 2)
    node = back.write.node
    share = node("Div", back.dy, b)
    return back.broadcast(lambda: share, lambda: node("Neg", node("Mul", share, back.y)))


def power(back: Backward) -> Gradients:
    """dA = dY B A^(B-1), which is 0 where B is; dB = dY Y log A, which is 0 where A is. So it is in PyTorch."""
    a, b = inputs_of(back.node, 2)
    write, node = back.write, back.write.node
    known = constant_value(b)

    def of_base() -> ir.Value:
        if known is None:
            exponent = b if b.dtype == ir.DataType.FLOAT else write.cast(b, "float32")
            flat = node("Equal", exponent, write.scalar(0))
            less = node("Sub", exponent, write.scalar(1))
            slope = node("Mul", exponent, node("Pow", a, node("Where", flat, exponent, less)))
        elif known.size == 1 and float(known.reshape(())) == 2:
            slope = node("Mul", a, write.scalar(2))
        else:
            less = write.constant(np.where(known == 0, 0, known - 1.0).astype(np.float32))
            slope = node("Mul", write.constant(known.astype(np.float32)), node("Pow", a, less))
        return node("Mul", back.dy, slope)

    def of_exponent() -> ir.Value:
        zero = node("Equal", a, write.scalar(0))
        logarithm = node("Log", node("Where", zero, write.scalar(1), a))
        return node("Mul", back.dy, node("Mul", back.y, logarithm))

    return back.broadcast(of_base, of_exponent)


def extremum(back: Backward) -> Gradients:
    """To where the extremum is, in equal parts where several are it."""
    write = back.write
    masks = [
        write.cast(write.node("Equal", value, back.y), "float32")
        for value in inputs_of(back.node, len(back.node.inputs))
    ]
    total = masks[0] if len(masks) == 1 else write.node("Sum", *masks)
    share = write.node("Div", back.dy, total)
    return back.broadcast(*[lambda mask=mask: write.node("Mul", share, mask) for mask in masks])


def mean(back: Backward) -> Gradients:
    count = len(back.node.inputs)
    share = back.write.node("Mul", back.dy, back.write.scalar(1 / count))
    return back.broadcast(*[lambda: share] * count)


def where(back: Backward) -> Gradients:
    condition = inputs_of(back.node, 1)[0]
    write = back.write
    return back.broadcast(
        None,
        lambda: write.node("Where", condition, back.dy, write.scalar(0)),
        lambda: write.node("Where", condition, write.scalar(0), back.dy),
    )


def clip(back: Backward) -> Gradients:
    """To x within the bounds, these included; beyond, to the bound, of crossed ones the upper."""
    write = back.write
    low, high = input_of(back.node, 1), input_of(back.node, 2)

    def where(*comparisons: tuple[str, ir.Value | None, ir.Value | None]) -> ir.Value:
        """dY where all comparisons hold that are of something."""
        gradient = back.dy
        for op_type, a, b in comparisons:
            if a is not None and b is not None:
                holds = write.node(op_type, a, b)
                gradient = write.node("Where", holds, gradient, write.scalar(0))
        return gradient

    def of_high() -> ir.Value:
        raised = back.x if low is None else write.node("Max", back.x, low)
        return where(("Greater", raised, high))

    return back.broadcast(
        lambda: where(("GreaterOrEqual", back.x, low), ("LessOrEqual", back.x, high)),
        lambda: where(("Less", back.x, low), ("LessOrEqual", low, high)),
        of_high,
    )


def mod(back: Backward) -> Gradients:
    """A - B n with n steps of B in A: dA = dY, dB = -dY n."""
    a, b = inputs_of(back.node, 2)
    node = back.write.node
    return back.broadcast(
        lambda: back.dy,
        lambda: node("Mul", back.dy, node("Div", node("Sub", back.y, a), b)),
    )


def identity(back: Backward) -> Gradients:
    return [back.dy]


def cast(back: Backward) -> Gradients:
    wanted = back.x.dtype
    if wanted is None or back.y.dtype == wanted:
        return [back.dy]
    return [back.write.node("Cast", back.dy, to=wanted)]


def cast_like(back: Backward) -> Gradients:
    return [*cast(back), None]


def nothing(back: Backward) -> Gradients:
    """A step, whose derivative is 0 wherever it exists."""
    return [None] * len(back.wanted)


def range_(back: Backward) -> Gradients:
    """start + i delta: dstart = sum of dY, ddelta = sum of i dY."""
    write = back.write

    def of_delta() -> ir.Value:
        size = write.node("Size", back.dy)
        steps = write.cast(write.node("Range", write.integer(0), size, write.integer(1)), "float32")
        return write.node("ReduceSum", write.node("Mul", back.dy, steps), keepdims=0)

    return back.each(lambda: write.node("ReduceSum", back.dy, keepdims=0), None, of_delta)


# From the Writer, x and y to the derivative of y by x.
Slope = Callable[[Writer, ir.Value, ir.Value], ir.Value]


def _slope(slope: Slope) -> GradientRule:
    def rule(back: Backward) -> Gradients:
        return [back.write.node("Mul", back.dy, slope(back.write, back.x, back.y))]

    return rule


def _square(write: Writer, x: ir.Value) -> ir.Value:
    return write.node("Mul", x, x)


def _plus(write: Writer, x: ir.Value, number: float) -> ir.Value:
    return write.node("Add", x, write.scalar(number))


def _one_minus_square(write: Writer, x: ir.Value) -> ir.Value:
    return write.node("Sub", write.scalar(1), _square(write, x))


def _inverse_root(write: Writer, x: ir.Value) -> ir.Value:
    return write.node("Reciprocal", write.node("Sqrt", x))


def _erf(write: Writer, x: ir.Value) -> ir.Value:
    """2 / sqrt(pi) e^(-x^2)"""
    bell = write.node("Exp", write.node("Neg", _square(write, x)))
    return write.node("Mul", bell, write.scalar(2 / math.sqrt(math.pi)))


ELEMENTWISE: dict[str, GradientRule] = {
    "Abs": _slope(lambda write, x, y: write.node("Sign", x)),
    "Acos": _slope(
        lambda write, x, y: write.node("Neg", _inverse_root(write, _one_minus_square(write, x)))
    ),
    "Acosh": _slope(lambda write, x, y: _inverse_root(write, _plus(write, _square(write, x), -1))),
    "Add": add,
    "Asin": _slope(lambda write, x, y: _inverse_root(write, _one_minus_square(write, x))),
    "Asinh": _slope(lambda write, x, y: _inverse_root(write, _plus(write, _square(write, x), 1))),
    "Atan": _slope(
        lambda write, x, y: write.node("Reciprocal", _plus(write, _square(write, x), 1))
    ),
    "Atanh": _slope(lambda write, x, y: write.node("Reciprocal", _one_minus_square(write, x))),
    "Cast": cast,
    "CastLike": cast_like,
    "Ceil": nothing,
    "Clip": clip,
    "Cos": _slope(lambda write, x, y: write.node("Neg", write.node("Sin", x))),
    "Cosh": _slope(lambda write, x, y: write.node("Sinh", x)),
    "Div": div,
    "Erf": _slope(lambda write, x, y: _erf(write, x)),
    "Exp": _slope(lambda write, x, y: y),
    "Floor": nothing,
    "Hardmax": nothing,
    "Identity": identity,
    "Log": lambda back: [back.write.node("Div", back.dy, back.x)],
    "Max": extremum,
    "Mean": mean,
    "Min": extremum,
    "Mod": mod,
    "Mul": mul,
    "Neg": lambda back: [back.write.node("Neg", back.dy)],
    "Pow": power,
    "Range": range_,
    "Reciprocal": _slope(lambda write, x, y: write.node("Neg", _square(write, y))),
    "Round": nothing,
    "Sign": nothing,
    "Sin": _slope(lambda write, x, y: write.node("Cos", x)),
    "Sinh": _slope(lambda write, x, y: write.node("Cosh", x)),
    "Sqrt": lambda back: [
        back.write.node("Mul", back.write.node("Div", back.dy, back.y), back.write.scalar(0.5))
    ],
    "Sub": sub,
    "Sum": add,
    "Tan": _slope(lambda write, x, y: _plus(write, _square(write, y), 1)),
    "Where": where,
}
