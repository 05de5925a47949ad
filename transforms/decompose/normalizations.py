"""Normalizations, from means and squares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.rule import (
    Rule,
    attributes_of,
    constant_value,
    fixed_size,
    fixed_sizes,
    input_of,
    inputs_of,
    integer,
    integers,
    known_rank,
    number,
    static_shape,
)
from svgd_onnx.transforms.writer import Writer


def _standardize(write: Writer, x: ir.Value, axes: Sequence[int], epsilon: float) -> ir.Value:
    """(x - mean) / sqrt(variance + epsilon) over the axes."""
    centered = write.node("Sub", x, write.reduce("ReduceMean", x, axes))
    variance = write.reduce("ReduceMean", write.node("Mul", centered, centered), axes)
    root = write.node("Sqrt", write.node("Add", variance, write.scalar(epsilon)))
    return write.node("Div", centered, root)


def _per_channel(write: Writer, value: ir.Value, spatial: int) -> ir.Value:
    """(C) as (C, 1, ...), to go with (N, C, ...)."""
    if spatial == 0:
        return value
    return write.node("Unsqueeze", value, write.integers(*range(1, spatial + 1)))


def _scale_and_shift(
    write: Writer, x: ir.Value, scale: ir.Value, shift: ir.Value, spatial: int
) -> ir.Value:
    scaled = write.node("Mul", x, _per_channel(write, scale, spatial))
    return write.node("Add", scaled, _per_channel(write, shift, spatial))


def batch_normalization(node: ir.Node, write: Writer) -> ir.Value | None:
    """With fixed statistics; in training mode onnxruntime has a gradient."""
    if integer(node, "training_mode", 0):
        return None
    x, scale, shift, mean, variance = inputs_of(node, 5)
    size = known_rank(x)
    root = write.node(
        "Sqrt", write.node("Add", variance, write.scalar(number(node, "epsilon", 1e-5)))
    )
    centered = write.node("Sub", x, _per_channel(write, mean, size - 2))
    factor = write.node("Div", scale, root)
    return _scale_and_shift(write, centered, factor, shift, size - 2)


def instance_normalization(node: ir.Node, write: Writer) -> ir.Value:
    x, scale, shift = inputs_of(node, 3)
    size = known_rank(x)
    standard = _standardize(write, x, range(2, size), number(node, "epsilon", 1e-5))
    return _scale_and_shift(write, standard, scale, shift, size - 2)


def group_normalization(node: ir.Node, write: Writer) -> ir.Value:
    """Before opset 21 scale and shift are of a group, from then on of a channel."""
    x, scale, shift = inputs_of(node, 3)
    spatial = known_rank(x) - 2
    sizes = static_shape(x, 1)
    shape = write.node("Shape", x) if sizes is None else write.integers(0, *sizes)
    groups = integer(node, "num_groups", 1)
    grouped = write.node("Reshape", x, write.integers(0, groups, -1))
    standard = _standardize(write, grouped, [2], number(node, "epsilon", 1e-5))
    if write.opset < 21:
        standard = _scale_and_shift(write, standard, scale, shift, 1)
        return write.node("Reshape", standard, shape)
    restored = write.node("Reshape", standard, shape)
    return _scale_and_shift(write, restored, scale, shift, spatial)


def lp_normalization(node: ir.Node, write: Writer) -> ir.Value:
    (x,) = inputs_of(node, 1)
    axis = integer(node, "axis", -1)
    if integer(node, "p", 2) == 1:
        norm = write.reduce("ReduceSum", write.node("Abs", x), [axis])
    else:
        norm = write.node("Sqrt", write.reduce("ReduceSum", write.node("Mul", x, x), [axis]))
    return write.node("Div", x, norm)


def mean_variance_normalization(node: ir.Node, write: Writer) -> ir.Value:
    (x,) = inputs_of(node, 1)
    return _standardize(write, x, integers(node, "axes", [0, 2, 3]), 1e-9)


def local_response_normalization(node: ir.Node, write: Writer) -> ir.Value:
    """x / (bias + alpha / size * sum of x^2 over `size` neighbouring channels)^beta."""
    (x,) = inputs_of(node, 1)
    channels = fixed_size(x, 1)
    dims = known_rank(x)
    size = integer(node, "size", 1)
    before = (size - 1) // 2
    pads = np.zeros((2, dims), np.int64)
    pads[:, 1] = before, size - 1 - before
    square = write.node("Pad", write.node("Mul", x, x), write.constant(pads.reshape(-1)))
    one = write.integers(1)
    total: ir.Value | None = None
    for offset in range(size):
        end = write.integers(offset + channels)
        part = write.node("Slice", square, write.integers(offset), end, one)
        total = part if total is None else write.node("Add", total, part)
    assert total is not None
    weighted = write.node("Mul", total, write.scalar(number(node, "alpha", 1e-4) / size))
    base = write.node("Add", weighted, write.scalar(number(node, "bias", 1.0)))
    return write.node("Div", x, write.node("Pow", base, write.scalar(number(node, "beta", 0.75))))


def layer_normalization(node: ir.Node, write: Writer) -> Sequence[ir.Value] | None:
    """Completed rather than decomposed: its gradient reads a shift, the mean and the deviation."""
    complete = len(node.outputs) == 3 and len(node.inputs) == 3 and node.inputs[2] is not None
    if complete and all(value.name for value in node.outputs):
        return None
    x, scale = inputs_of(node, 2)
    shift = input_of(node, 2)
    if shift is None:
        given = constant_value(scale)
        shape = fixed_sizes(scale, of="its scale") if given is None else given.shape
        shift = write.constant(np.zeros(shape, np.float32))
    attributes = attributes_of(node)
    return write.nodes_with("LayerNormalization", [x, scale, shift], attributes, 3)


NORMALIZATIONS: dict[str, Rule] = {
    "BatchNormalization": batch_normalization,
    "GroupNormalization": group_normalization,
    "InstanceNormalization": instance_normalization,
    "LayerNormalization": layer_normalization,
    "LpNormalization": lp_normalization,
    "LRN": local_response_normalization,
    "MeanVarianceNormalization": mean_variance_normalization,
}
