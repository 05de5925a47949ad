"""Gradients of operators that broadcast: sums over the axes along which an operand was repeated."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.lower.lowering import Lowering
from svgd_onnx.transforms.rule import inputs_of, static_shape
from svgd_onnx.transforms.writer import Writer


def sum_to(write: Writer, value: ir.Value, operand: ir.Value) -> ir.Value:
    """Sums a gradient over the axes that the operand was repeated along."""
    known = static_shape(operand)
    if known is not None and known == static_shape(value):
        return value
    shape, larger = write.node("Shape", operand), write.node("Shape", value)
    axes = _repeated_axes(write, shape, larger)
    total = write.node("ReduceSum", value, axes, keepdims=1, noop_with_empty_axes=1)
    return write.node("Reshape", total, shape)


def _aligned(write: Writer, shape: ir.Value, other: ir.Value) -> ir.Value:
    """The shape, with ones before it if the other is longer."""
    missing = write.node("Sub", write.node("Size", other), write.node("Size", shape))
    count = write.node("Max", missing, write.integer(0))
    count = write.node("Reshape", count, write.integers(1))
    ones = write.node("Expand", write.integers(1), count)
    return write.node("Concat", ones, shape, axis=0)


def _repeated_axes(write: Writer, shape: ir.Value, other: ir.Value) -> ir.Value:
    one = write.integers(1)
    narrow = write.node("Equal", _aligned(write, shape, other), one)
    wide = write.node("Not", write.node("Equal", _aligned(write, other, shape), one))
    return write.node(
        "Reshape", write.node("NonZero", write.node("And", narrow, wide)), write.integers(-1)
    )


def _gradient_arguments(node: ir.Node, write: Writer) -> list[ir.Value | None]:
    """From two shapes, the axes to sum each operand's gradient over; a Reshape follows the sum."""
    first, second = inputs_of(node, 2)
    wanted = [bool(value.name) for value in node.outputs] + [False]
    return [
        _repeated_axes(write, first, second) if wanted[0] else None,
        _repeated_axes(write, second, first) if wanted[1] else None,
    ][: len(node.outputs)]


def _division_gradient(node: ir.Node, write: Writer) -> list[ir.Value | None]:
    gradient, dividend, divisor = inputs_of(node, 3)
    outputs: list[ir.Value | None] = []
    of_dividend = write.node("Div", gradient, divisor)
    for value, operand in zip(node.outputs, (dividend, divisor)):
        if not value.name:
            outputs.append(None)
            continue
        if operand is dividend:
            full = of_dividend
        else:
            full = write.node(
                "Neg", write.node("Mul", of_dividend, write.node("Div", dividend, divisor))
            )
        full.type, full.shape = gradient.type, gradient.shape
        outputs.append(sum_to(write, full, operand))
    return outputs


BROADCAST: dict[str, Lowering] = {
    "BroadcastGradientArgs": Lowering(_gradient_arguments),
    "DivGrad": Lowering(_division_gradient),
}
