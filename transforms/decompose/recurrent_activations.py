"""The activations of LSTM, GRU and RNN: their names, and the numbers that some take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import onnx_ir as ir

from svgd_onnx.transforms.decompose.activations import (
    clipped_line,
    exponential_unit,
    soft_maximum,
)
from svgd_onnx.transforms.rule import RefusedError, number
from svgd_onnx.transforms.writer import Writer

Activation = Callable[[ir.Value], ir.Value]
_OF_GATES = 2


def activations_of(
    node: ir.Node, write: Writer, default: Sequence[str], directions: int
) -> list[list[Activation]]:
    """The activations of each direction, in the operator's order.

    What goes into those of gates is clipped first, where the operator says so; what an LSTM's memory goes
    into, its third one, is not, as onnxruntime has it.

    Raises:
        RefusedError: one is not known, or is not given its numbers.
    """
    attribute = node.attributes.get("activations")
    names = list(default) if attribute is None else list(attribute.as_strings())
    alphas, betas = (
        iter([] if given is None else given.as_floats())
        for given in (node.attributes.get(f"activation_{name}") for name in ("alpha", "beta"))
    )
    bound = number(node, "clip", 0.0)
    found: list[list[Activation]] = []
    for place in range(len(default) * directions):
        name = names[place % len(names)]
        if name.lower() not in _ACTIVATIONS:
            raise RefusedError(f"its activation {name} is not known")
        function, numbers = _ACTIVATIONS[name.lower()]
        # each takes the next of those that are given, if it takes any
        given = [next(values, usual) for values, usual in zip((alphas, betas), numbers)]
        known = [value for value in given if value is not None]
        if len(known) < len(given):
            raise RefusedError(f"its activation {name} is not given its numbers")
        if place % len(default) == 0:
            found.append([])
        limit = bound if len(found[-1]) < _OF_GATES else 0.0
        activation = partial(_clipped, write, partial(function, write), known, limit)
        found[-1].append(activation)
    return found


def _clipped(
    write: Writer,
    function: Callable[..., ir.Value],
    numbers: Sequence[float],
    bound: float,
    x: ir.Value,
) -> ir.Value:
    if bound:
        x = write.node("Clip", x, write.scalar(-bound), write.scalar(bound))
    return function(x, *numbers)


def _affine(write: Writer, x: ir.Value, alpha: float, beta: float) -> ir.Value:
    return write.node("Add", write.node("Mul", x, write.scalar(alpha)), write.scalar(beta))


def _scaled_tanh(write: Writer, x: ir.Value, alpha: float, beta: float) -> ir.Value:
    tanh = write.node("Tanh", write.node("Mul", x, write.scalar(beta)))
    return write.node("Mul", tanh, write.scalar(alpha))


def _thresholded_relu(write: Writer, x: ir.Value, alpha: float) -> ir.Value:
    above = write.node("Greater", x, write.scalar(alpha))
    return write.node("Mul", x, write.cast(above, "float32"))


def _softsign(write: Writer, x: ir.Value) -> ir.Value:
    return write.node("Div", x, write.node("Add", write.node("Abs", x), write.scalar(1.0)))


def _plain(op_type: str) -> Callable[[Writer, ir.Value], ir.Value]:
    return lambda write, x: write.node(op_type, x)


def _leaky_relu(write: Writer, x: ir.Value, alpha: float) -> ir.Value:
    return write.node("LeakyRelu", x, alpha=alpha)


# By name: what it makes of a value, and the numbers that it takes, alpha and beta, by default if it has one.
_ACTIVATIONS: dict[str, tuple[Callable[..., ir.Value], tuple[float | None, ...]]] = {
    "affine": (_affine, (None, None)),
    "elu": (exponential_unit, (1.0,)),
    "hardsigmoid": (clipped_line, (0.2, 0.5)),
    "leakyrelu": (_leaky_relu, (0.01,)),
    "relu": (_plain("Relu"), ()),
    "scaledtanh": (_scaled_tanh, (None, None)),
    "sigmoid": (_plain("Sigmoid"), ()),
    "softplus": (soft_maximum, ()),
    "softsign": (_softsign, ()),
    "tanh": (_plain("Tanh"), ()),
    "thresholdedrelu": (_thresholded_relu, (1.0,)),
}
