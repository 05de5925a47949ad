"""Reductions: the gradient goes to all that was reduced."""

from __future__ import annotations

from math import prod

import onnx_ir as ir

from svgd_onnx.transforms.decompose.reductions import reduced_axes
from svgd_onnx.transforms.differentiate.gradients.gradient import Backward, GradientRule, Gradients
from svgd_onnx.transforms.differentiate.gradients.sizes import shape_of
from svgd_onnx.transforms.rule import integer, known_rank


def _kept(back: Backward, value: ir.Value) -> ir.Value:
    """A value of the output's shape, with the axes that were reduced as ones."""
    axes = reduced_axes(back.node)
    if integer(back.node, "keepdims", 1) or not axes:
        return value
    return back.write.node("Unsqueeze", value, back.write.integers(*axes))


def _spread(back: Backward, value: ir.Value) -> ir.Value:
    """A value of the output's shape, repeated to the input's."""
    return back.write.node("Expand", _kept(back, value), shape_of(back.write, back.x))


def reduce_sum(back: Backward) -> Gradients:
    return [_spread(back, back.dy)]


def reduce_mean(back: Backward) -> Gradients:
    return [_spread(back, back.write.node("Div", back.dy, _count(back, reduced_axes(back.node))))]


def _count(back: Backward, axes: list[int]) -> ir.Value:
    write, rank = back.write, known_rank(back.x)
    sizes = [None if back.x.shape is None else back.x.shape[axis % rank] for axis in axes]
    if all(isinstance(size, int) for size in sizes):
        return write.scalar(prod(int(size) for size in sizes if isinstance(size, int)))
    shape = write.node("Shape", back.x)
    taken = write.node("Gather", shape, write.integers(*axes))
    return write.cast(write.node("ReduceProd", taken, keepdims=0), "float32")


def reduce_l2(back: Backward) -> Gradients:
    """dX = dY X / Y, and 0 where Y is 0."""
    write = back.write
    none = write.node("Equal", back.y, write.scalar(0))
    share = write.node("Div", back.dy, write.node("Where", none, write.scalar(1), back.y))
    return [write.node("Mul", back.x, _kept(back, share))]


def reduce_log_sum_exp(back: Backward) -> Gradients:
    """dX = dY e^(X - Y)"""
    write = back.write
    share = write.node("Exp", write.node("Sub", back.x, _kept(back, back.y)))
    return [write.node("Mul", share, _kept(back, back.dy))]


def global_average_pool(back: Backward) -> Gradients:
    share = back.write.node("Div", back.dy, _count(back, list(range(2, known_rank(back.x)))))
    return [back.write.node("Expand", share, shape_of(back.write, back.x))]


REDUCTIONS: dict[str, GradientRule] = {
    "GlobalAveragePool": global_average_pool,
    "ReduceL2": reduce_l2,
    "ReduceLogSumExp": reduce_log_sum_exp,
    "ReduceMean": reduce_mean,
    "ReduceSum": reduce_sum,
}
