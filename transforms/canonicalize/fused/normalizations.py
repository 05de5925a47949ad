"""Normalizations that onnxruntime had before ONNX, and fuses with sums and embeddings before them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.canonicalize.fused.activations import with_bias
from svgd_onnx.transforms.canonicalize.fused.fused_operator import FusedOperator
from svgd_onnx.transforms.rule import (
    attributes_of,
    input_of,
    inputs_of,
    integer,
    known_rank,
    number,
)
from svgd_onnx.transforms.writer import Writer

# onnxruntime's where one is fused with what is before it; its others are ONNX's.
_EPSILON = 1e-12


def layer_normalization(node: ir.Node, write: Writer) -> Sequence[ir.Value]:
    """As ONNX has it since opset 17, and onnxruntime always had."""
    return write.nodes_with(
        "LayerNormalization", node.inputs, attributes_of(node), len(node.outputs)
    )


def simplified_layer_normalization(node: ir.Node, write: Writer) -> Sequence[ir.Value]:
    """RMSNormalization, as onnxruntime called it before ONNX had it; gives 1 / its root too."""
    x, scale = inputs_of(node, 2)
    axis = integer(node, "axis", -1)
    axes = [-1]
    if axis != -1:
        rank = known_rank(x)
        axes = list(range(axis % rank, rank))
    root = root_mean_square(write, x, axes, number(node, "epsilon", 1e-5))
    normal = write.node("Mul", write.node("Div", x, root), scale)
    return [normal, write.node("Reciprocal", root)][: len(node.outputs)]


def root_mean_square(write: Writer, x: ir.Value, axes: Sequence[int], epsilon: float) -> ir.Value:
    """sqrt(mean of x^2 + epsilon) over some axes, which stay, of size 1."""
    square = write.reduce("ReduceMean", write.node("Mul", x, x), axes)
    return write.node("Sqrt", write.node("Add", square, write.scalar(epsilon)))


def skip_layer_normalization(node: ir.Node, write: Writer) -> Sequence[ir.Value | None]:
    """Normalizes input + skip + bias over the last axis; the sum is the fourth output."""
    x, skip, scale = inputs_of(node, 3)
    total = with_bias(write, write.node("Add", x, skip), input_of(node, 4))
    return [_normalized(node, write, total, scale, input_of(node, 3)), None, None, total]


def skip_simplified_layer_normalization(node: ir.Node, write: Writer) -> Sequence[ir.Value | None]:
    """Divides input + skip + bias by its root mean square; the sum is the fourth output."""
    x, skip, scale = inputs_of(node, 3)
    total = with_bias(write, write.node("Add", x, skip), input_of(node, 3))
    root = root_mean_square(write, total, [-1], number(node, "epsilon", _EPSILON))
    return [write.node("Mul", write.node("Div", total, root), scale), None, None, total]


def embed_layer_normalization(node: ir.Node, write: Writer) -> Sequence[ir.Value]:
    """Normalizes the sum of a word's, a position's and a segment's embedding.

    Returns:
        That, how many entries of each row's mask are 1 (0 without a mask), and the sum.
    """
    words, segments, word_table, position_table, segment_table, scale, shift = node.inputs[:7]
    mask, positions = input_of(node, 7), input_of(node, 8)
    assert words is not None
    if positions is None:
        positions = write.positions(write.node("Shape", words, start=1, end=2))
    embedded = write.node("Gather", word_table, words)
    total = write.node("Add", embedded, write.node("Gather", position_table, positions))
    if segments is not None and segment_table is not None:
        total = write.node("Add", total, write.node("Gather", segment_table, segments))
    one = write.constant(np.array(1, np.int32))
    if mask is None:
        counted = write.node("Sub", words, words)
    else:
        counted = write.cast(write.node("Equal", mask, one), "int32")
    count = write.reduce("ReduceSum", counted, [1], keepdims=False)
    return [_normalized(node, write, total, scale, shift), count, total]


def _normalized(
    node: ir.Node, write: Writer, x: ir.Value, scale: ir.Value | None, shift: ir.Value | None
) -> ir.Value:
    inputs = [x, scale] if shift is None else [x, scale, shift]
    epsilon = number(node, "epsilon", _EPSILON)
    return write.node("LayerNormalization", *inputs, axis=-1, epsilon=epsilon)


_OF_NORMALIZATION = frozenset({"axis", "epsilon", "stash_type"})
_OF_SKIP = frozenset({"epsilon"})

NORMALIZATIONS = {
    "EmbedLayerNormalization": FusedOperator(
        embed_layer_normalization, inputs=9, attributes=_OF_SKIP | {"mask_index_type"}
    ),
    "LayerNormalization": FusedOperator(
        layer_normalization, inputs=3, attributes=_OF_NORMALIZATION
    ),
    "SimplifiedLayerNormalization": FusedOperator(
        simplified_layer_normalization,
        inputs=2,
        attributes=_OF_NORMALIZATION,
        scales=frozenset({1}),
    ),
    "SkipLayerNormalization": FusedOperator(
        skip_layer_normalization, inputs=5, attributes=_OF_SKIP
    ),
    "SkipSimplifiedLayerNormalization": FusedOperator(
        skip_simplified_layer_normalization,
        inputs=4,
        attributes=_OF_SKIP,
        scales=frozenset({2}),
    ),
}
