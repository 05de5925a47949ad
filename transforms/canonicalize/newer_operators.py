"""Operators that came after opset 21, written with older ones where the standard has no body, or a long one."""

from __future__ import annotations

import onnx_ir as ir

from svgd_onnx.transforms.canonicalize.fused.normalizations import root_mean_square
from svgd_onnx.transforms.rule import (
    Rule,
    fixed_size,
    input_of,
    inputs_of,
    integer,
    known_constant,
    known_rank,
    number,
    text,
)
from svgd_onnx.transforms.writer import Writer


def cumulative_product(node: ir.Node, write: Writer) -> ir.Value:
    """For each place the product of what lies before it.

    Takes the square of the axis' size in memory, and has the right gradient where factors are 0.
    """
    x, given = inputs_of(node, 2)
    rank = known_rank(x)
    axis = int(known_constant(given, "its axis is").reshape(())) % rank
    places = write.positions(write.node("Shape", x, start=axis, end=axis + 1))
    of_result = write.node("Unsqueeze", places, write.integers(1))
    comparison = "Greater" if integer(node, "exclusive", 0) else "GreaterOrEqual"
    if integer(node, "reverse", 0):
        comparison = comparison.replace("Greater", "Less")
    counts = write.node(comparison, of_result, places)
    if axis + 1 < rank:
        counts = write.node("Unsqueeze", counts, write.integers(*range(2, rank - axis + 1)))
    factors = write.node("Unsqueeze", x, write.integers(axis))
    factors = write.node("Where", counts, factors, write.node("CastLike", write.scalar(1), x))
    return write.reduce("ReduceProd", factors, [axis + 1], keepdims=False)


def rms_normalization(node: ir.Node, write: Writer) -> ir.Value | None:
    """x / sqrt(mean of x^2 + epsilon) over the axes from `axis` on, times a scale."""
    x, scale = inputs_of(node, 2)
    if x.dtype != ir.DataType.FLOAT or x.shape is None:
        return None  # the standard's body knows other types, and open ranks
    rank = known_rank(x)
    axes = range(integer(node, "axis", -1) % rank, rank)
    root = root_mean_square(write, x, axes, number(node, "epsilon", 1e-5))
    return write.node("Mul", write.node("Div", x, root), scale)


def space_to_depth(node: ir.Node, write: Writer) -> ir.Value | None:
    """In the order CRD the place in a block counts last: (block, channel) becomes (channel, block)."""
    if text(node, "mode", "DCR") == "DCR":
        return None
    (x,) = inputs_of(node, 1)
    block = integer(node, "blocksize", 1)
    y = write.node("SpaceToDepth", x, blocksize=block)
    split = write.node("Reshape", y, write.integers(0, block**2, fixed_size(x, 1), -1))
    moved = write.node("Transpose", split, perm=[0, 2, 1, 3])
    return write.node("Reshape", moved, write.node("Shape", y))


def tensor_scatter(node: ir.Node, write: Writer) -> ir.Value:
    """The update goes to places of an axis that follow each other, and in mode circular start anew."""
    cache, update = inputs_of(node, 2)
    first = input_of(node, 2)
    rank = known_rank(cache)
    axis = integer(node, "axis", -2) % rank
    places = write.positions(write.node("Shape", update, start=axis, end=axis + 1))
    spread = [1] * rank
    spread[axis] = -1
    places = write.node("Reshape", places, write.integers(*spread))
    if first is not None:
        start = write.node("Reshape", first, write.integers(-1, *[1] * (rank - 1)))
        places = write.node("Add", places, start)
    if text(node, "mode", "linear") == "circular":
        places = write.node("Mod", places, write.node("Shape", cache, start=axis, end=axis + 1))
    places = write.node("Expand", places, write.node("Shape", update))
    return write.node("ScatterElements", cache, places, update, axis=axis)


# The inputs that exporters fill with learned tensors; others, as the caches of RotaryEmbedding, are none.
LEARNED_INPUTS = {"CausalConvWithState": frozenset({1, 2}), "RMSNormalization": frozenset({1})}

# By which normalizations scale.
SCALES = {"RMSNormalization": frozenset({1})}

NEWER_OPERATORS: dict[str, Rule] = {
    "CumProd": cumulative_product,
    "RMSNormalization": rms_normalization,
    "SpaceToDepth": space_to_depth,
    "TensorScatter": tensor_scatter,
}
