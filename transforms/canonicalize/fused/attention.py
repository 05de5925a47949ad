"""onnxruntime's attention operators, by matrix products and a softmax.

B: examples, S: queries, T: keys, N: heads, H: features of a head. What a mask, a bias and the order of
keys mean is as its CPU kernels have it (ContribOperators.md; PrepareMask in attention_helper.h).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from svgd_onnx.transforms.canonicalize.fused.activations import with_bias
from svgd_onnx.transforms.canonicalize.fused.attention_mask import mask_scores, only_before
from svgd_onnx.transforms.canonicalize.fused.fused_operator import FusedOperator
from svgd_onnx.transforms.rule import (
    RefusedError,
    fixed_size,
    input_of,
    inputs_of,
    integer,
    integers,
    known_rank,
    number,
)
from svgd_onnx.transforms.writer import Writer

_MASKED = -10000.0


@dataclass
class _Heads:
    """What attention works on.

    Attributes:
        query: (B, N, S, H).
        key: (B, N, T, H).
        value: (B, N, T, H of values).
        features: H.
        width: N times H of values.
        batch, queries: B and S, vectors of one number.
        past: how many keys are from before the first query, a vector of one number; None if none are.
    """

    query: ir.Value
    key: ir.Value
    value: ir.Value
    features: int
    width: int
    batch: ir.Value
    queries: ir.Value
    past: ir.Value | None = None


def attention(node: ir.Node, write: Writer) -> Sequence[ir.Value | None]:
    """Projects its input to queries, keys and values by one matrix, then attends.

    Returns:
        (B, S, N H), and keys and values, those of the past before them: (2, B, N, T, H).
    """
    x, weight = inputs_of(node, 2)
    count = integer(node, "num_heads", 0)
    total = fixed_size(weight, 1, of="its weight")
    sizes = integers(node, "qkv_hidden_sizes", [total // 3] * 3)
    projected = with_bias(write, write.node("MatMul", x, weight), input_of(node, 2))
    parts = write.nodes_with("Split", [projected, write.integers(*sizes)], {"axis": 2}, 3)
    query, key, value = (_apart(write, part, count, size) for part, size in zip(parts, sizes))
    past, length = input_of(node, 4), None
    if past is not None:
        key, value = (
            write.node("Concat", write.node("Gather", past, write.integer(place)), new, axis=2)
            for place, new in enumerate((key, value))
        )
        length = write.node("Shape", past, start=3, end=4)
    batch, queries = (write.node("Shape", x, start=axis, end=axis + 1) for axis in (0, 1))
    heads = _Heads(query, key, value, sizes[0] // count, sizes[2], batch, queries, length)
    y, _ = _attend(node, write, heads, mask=input_of(node, 3), bias=input_of(node, 5))
    if len(node.outputs) < 2:
        return [y]
    both = [write.node("Unsqueeze", each, write.integers(0)) for each in (key, value)]
    return [y, write.node("Concat", *both, axis=0)]


def multi_head_attention(node: ir.Node, write: Writer) -> Sequence[ir.Value | None]:
    """Attends with queries, keys and values that are projected already, but for a bias.

    Returns:
        (B, S, N H); keys and values, those of the past before them, each (B, N, T, H); and the weights,
        (B, N, S, T).
    """
    (query,) = inputs_of(node, 1)
    key, value = input_of(node, 1), input_of(node, 2)
    if known_rank(query, of="its query") != 3 or key is None or value is None:
        raise RefusedError("its queries, keys and values are in one tensor")
    count = integer(node, "num_heads", 0)
    total = fixed_size(query, 2, of="its query")
    given = known_rank(key, of="its keys") == 4  # of heads, biases added
    width = (
        count * fixed_size(value, 3, of="its values")
        if given
        else fixed_size(value, 2, of="its values")
    )
    parts, sizes = [query, key, value], [total, total, width]
    bias = input_of(node, 3)
    if bias is not None:
        biases = write.nodes_with("Split", [bias, write.integers(*sizes)], {"axis": 0}, 3)
        changed = parts[:1] if given else parts
        added = [write.node("Add", part, each) for part, each in zip(changed, biases)]
        parts = [*added, *parts[len(added) :]]
    batch, queries = (write.node("Shape", query, start=axis, end=axis + 1) for axis in (0, 1))
    apart = [
        part if given and place else _apart(write, part, count, size)
        for place, (part, size) in enumerate(zip(parts, sizes))
    ]
    past, length = [input_of(node, 6), input_of(node, 7)], None
    if past[0] is not None:
        for place, before in enumerate(past, start=1):
            apart[place] = write.node("Concat", before, apart[place], axis=2)
        length = write.node("Shape", past[0], start=2, end=3)
    query, key, value = apart
    heads = _Heads(query, key, value, total // count, width, batch, queries, length)
    y, weights = _attend(node, write, heads, mask=input_of(node, 4), bias=input_of(node, 5))
    return [y, key, value, weights]


def _apart(write: Writer, value: ir.Value, heads: int, width: int) -> ir.Value:
    """(B, S, N H) as (B, N, S, H)."""
    apart = write.node("Reshape", value, write.integers(0, 0, heads, width // heads))
    return write.node("Transpose", apart, perm=[0, 2, 1, 3])


def _attend(
    node: ir.Node, write: Writer, heads: _Heads, mask: ir.Value | None, bias: ir.Value | None
) -> tuple[ir.Value, ir.Value]:
    """The values, weighted by the softmax of the scores, (B, S, N H); and the weights."""
    scale = number(node, "scale", 0.0) or 1.0 / math.sqrt(heads.features)
    query = write.node("Mul", heads.query, write.scalar(scale))
    scores = write.node("MatMul", query, write.node("Transpose", heads.key, perm=[0, 1, 3, 2]))
    keys = write.node("Shape", heads.key, start=2, end=3)
    if mask is not None:
        masked = number(node, "mask_filter_value", _MASKED)
        added = mask_scores(write, mask, heads.batch, keys, masked)
        scores = write.node("Add", scores, added)
    scores = with_bias(write, scores, bias)
    if integer(node, "unidirectional", 0):
        scores = only_before(write, scores, heads.queries, keys, heads.past)
    weights = write.node("Softmax", scores, axis=-1)
    weighted = write.node("MatMul", weights, heads.value)
    joined = write.node("Transpose", weighted, perm=[0, 2, 1, 3])
    return write.node("Reshape", joined, write.integers(0, 0, heads.width)), weights


_HEEDED = frozenset({"mask_filter_value", "num_heads", "scale", "unidirectional"})

ATTENTION = {
    "Attention": FusedOperator(attention, inputs=6, attributes=_HEEDED | {"qkv_hidden_sizes"}),
    "MultiHeadAttention": FusedOperator(multi_head_attention, inputs=8, attributes=_HEEDED),
}
