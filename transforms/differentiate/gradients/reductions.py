"""Reductions: the gradient goes to all that was reduced."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import onnx_ir as ir

from svgd_onnx.transforms.decompose.reductions import reduced_axes, reduces_all
from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule, Gradients
from svgd_onnx.transforms.differentiate.gradients.sizes import shape_of
from svgd_onnx.transforms.rule import constant_value, input_of, integer, known_rank


def _kept(back: Backward, value: ir.Value) -> ir.Value:
    """A value of the output's shape, with the axes that were reduced as ones."""
    if integer(back.node, "keepdims", 1) or reduces_all(back.node):
        return value  # of all the axes none is left, and what has none goes with everything
    axes = reduced_axes(back.node)
    if not axes:
        return value
    return back.write.node("Unsqueeze", value, back.write.integers(*axes))


def _reduced(back: Backward, op_type: str, value: ir.Value) -> ir.Value:
    """A value of the input's shape, reduced as the input was, with ones for the axes."""
    axes = reduced_axes(back.node)
    return back.write.reduce(op_type, value, axes) if axes else value


def _spread(back: Backward, value: ir.Value) -> ir.Value:
    """A value of the output's shape, repeated to the input's."""
    given = input_of(back.node, 1)
    known = given is None or constant_value(given) is not None
    axes = reduced_axes(back.node) if known and back.x.shape is not None else None
    return back.write.node("Expand", _kept(back, value), _repeats(back, axes))


def _repeats(back: Backward, axes: Sequence[int] | None) -> ir.Value:
    """What to expand to along the axes that were reduced; None stands for axes that are not known.

    The others have their size already. So the input is not kept for its shape, where that is open only there.
    """
    if axes is not None and back.x.shape is not None:
        sizes: list[object] = [1] * len(back.x.shape)
        for axis in axes:
            sizes[axis] = back.x.shape[axis]
        fixed = [size for size in sizes if isinstance(size, int)]
        if len(fixed) == len(sizes):
            return back.write.integers(*fixed)
    return shape_of(back.write, back.x)


def reduce_sum(back: Backward) -> Gradients:
    return [_spread(back, back.dy)]


def reduce_mean(back: Backward) -> Gradients:
    given = input_of(back.node, 1)
    known = given is None or constant_value(given) is not None
    count = _count(back, reduced_axes(back.node) if known else None)
    return [_spread(back, back.write.node("Div", back.dy, count))]


def _count(back: Backward, axes: Sequence[int] | None) -> ir.Value:
    """How many elements there are to one of the output; None stands for axes that are not known."""
    write = back.write
    shape = None if axes is None or back.x.shape is None else list(back.x.shape)
    sizes = [None] if shape is None else [shape[axis] for axis in axes or ()]
    if all(isinstance(size, int) for size in sizes):
        return write.scalar(prod(int(size) for size in sizes if isinstance(size, int)))
    counts = [write.count(value) for value in (back.x, back.y)]
    return write.cast(write.node("Div", *counts), "float32")


def reduce_l1(back: Backward) -> Gradients:
    return [back.write.node("Mul", back.write.node("Sign", back.x), _kept(back, back.dy))]


def reduce_l2(back: Backward) -> Gradients:
    """dX = dY X / Y, and 0 where Y is 0."""
    return [back.write.node("Mul", back.x, _kept(back, _over(back, back.dy, back.y)))]


def _over(back: Backward, dividend: ir.Value, divisor: ir.Value) -> ir.Value:
    """The quotient, and the dividend where the divisor is 0."""
    write = back.write
    none = write.node("Equal", divisor, write.scalar(0))
    return write.node("Div", dividend, write.node("Where", none, write.scalar(1), divisor))


def reduce_sum_square(back: Backward) -> Gradients:
    twice = back.write.node("Mul", back.x, back.write.scalar(2))
    return [back.write.node("Mul", twice, _kept(back, back.dy))]


def reduce_log_sum(back: Backward) -> Gradients:
    """dX = dY / e^Y"""
    return [_spread(back, back.write.node("Div", back.dy, back.write.node("Exp", back.y)))]


def reduce_log_sum_exp(back: Backward) -> Gradients:
    """dX = dY e^(X - Y)"""
    write = back.write
    share = write.node("Exp", write.node("Sub", back.x, _kept(back, back.y)))
    return [write.node("Mul", share, _kept(back, back.dy))]


def reduce_prod(back: Backward) -> Gradients:
    """dX = dY times the product of the others: Y / X, or what is left where one of them is 0."""
    write, node = back.write, back.write.node
    zero = node("Equal", back.x, write.scalar(0))
    filled = node("Where", zero, write.scalar(1), back.x)
    zeros = _reduced(back, "ReduceSum", write.cast(zero, "float32"))
    product = node("Mul", _kept(back, back.dy), _reduced(back, "ReduceProd", filled))
    others = node("Sub", zeros, write.cast(zero, "float32"))  # how many of the others are 0
    none = node("Equal", others, write.scalar(0))
    return [node("Where", none, node("Div", product, filled), write.scalar(0))]


def extremum(back: Backward) -> Gradients:
    """To where the extremum is, in equal parts where it is in several places."""
    write = back.write
    mask = write.cast(write.node("Equal", back.x, _kept(back, back.y)), "float32")
    share = write.node("Div", _kept(back, back.dy), _reduced(back, "ReduceSum", mask))
    return [write.node("Mul", mask, share)]


def global_average_pool(back: Backward) -> Gradients:
    share = back.write.node("Div", back.dy, _count(back, _spatial(back)))
    return [back.write.node("Expand", share, _repeats(back, _spatial(back)))]


def _spatial(back: Backward) -> list[int]:
    return list(range(2, known_rank(back.x)))


def global_max_pool(back: Backward) -> Gradients:
    """In equal parts where the maximum is in several places."""
    write = back.write
    mask = write.cast(write.node("Equal", back.x, back.y), "float32")
    total = write.reduce("ReduceSum", mask, _spatial(back))
    return [write.node("Mul", mask, write.node("Div", back.dy, total))]


REDUCTIONS: dict[str, GradientRule] = {
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
    "ReduceL1": reduce_l1,
    "ReduceL2": reduce_l2,
    "ReduceLogSum": reduce_log_sum,
    "ReduceLogSumExp": reduce_log_sum_exp,
    "ReduceMax": extremum,
    "ReduceMean": reduce_mean,
    "ReduceMin": extremum,
    "ReduceProd": reduce_prod,
    "ReduceSum": reduce_sum,
    "ReduceSumSquare": reduce_sum_square,
}
