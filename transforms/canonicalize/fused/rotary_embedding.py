"""Rotary position embedding: pairs of features turned by an angle that grows with the position.

Su et al., RoFormer, 2021.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from svgd_onnx.transforms.canonicalize.fused.fused_operator import FusedOperator
from svgd_onnx.transforms.rule import (
    RefusedError,
    fixed_size,
    inputs_of,
    integer,
    known_rank,
    number,
)
from svgd_onnx.transforms.writer import Writer


def rotary_embedding(node: ir.Node, write: Writer) -> ir.Value:
    """Turns (batch, length, hidden), or (batch, heads, length, features of a head)."""
    x, positions, cosines, sines = inputs_of(node, 4)
    rank = known_rank(x)
    if number(node, "scale", 1.0) not in (0.0, 1.0):
        raise RefusedError("its attribute scale is given")
    turned = 2 * fixed_size(cosines, 1, of="its table of cosines")
    of_examples = known_rank(positions, of="its positions") > 1
    if not of_examples:  # the position of the first
        axis = 1 if rank == 3 else 2
        length = write.node("Shape", x, start=axis, end=axis + 1)
        positions = write.node("Add", write.positions(length), positions)
    angles = [write.node("Gather", table, positions) for table in (cosines, sines)]
    heads, size = x, turned
    if rank == 4:
        size = fixed_size(x, 3)
    else:
        if integer(node, "rotary_embedding_dim", 0):
            size = fixed_size(x, 2) // integer(node, "num_heads", 1)
        heads = write.node("Reshape", x, write.integers(0, 0, -1, size))
    if rank == 3 or of_examples:
        of_heads = write.integers(-2 if rank == 3 else 1)
        angles = [write.node("Unsqueeze", angle, of_heads) for angle in angles]
    y = rotated(write, heads, angles, size, turned, bool(integer(node, "interleaved", 0)))
    return y if rank == 4 else write.node("Reshape", y, write.node("Shape", x))


def rotated(
    write: Writer,
    x: ir.Value,
    angles: Sequence[ir.Value],
    size: int,
    turned: int,
    interleaved: bool,
) -> ir.Value:
    """Turns the first features of each head.

    Args:
        x: of four axes, the last that of a head's features.
        angles: cosines and sines, which broadcast to x's shape but for the last axis, turned / 2.
        size: of x's last axis.
        turned: how many features are turned.
        interleaved: whether a pair are neighbours; else each feature and that half of them further.
    """
    cosine, sine = angles
    rest: list[ir.Value] = []
    if turned < size:
        sizes = write.integers(turned, size - turned)
        x, other = write.nodes_with("Split", [x, sizes], {"axis": -1}, 2)
        rest = [other]
    if interleaved:
        pairs = write.node("Reshape", x, write.integers(0, 0, 0, -1, 2))
        places = [write.integer(0), write.integer(1)]
        first, second = (write.node("Gather", pairs, place, axis=-1) for place in places)
    else:
        halves = write.integers(turned // 2, turned // 2)
        first, second = write.nodes_with("Split", [x, halves], {"axis": -1}, 2)
    real = write.node("Sub", write.node("Mul", first, cosine), write.node("Mul", second, sine))
    other = write.node("Add", write.node("Mul", first, sine), write.node("Mul", second, cosine))
    if interleaved:
        apart = [write.node("Unsqueeze", part, write.integers(-1)) for part in (real, other)]
        pairs = write.node("Concat", *apart, axis=-1)
        parts = [write.node("Reshape", pairs, write.integers(0, 0, 0, turned))]
    else:
        parts = [real, other]
    parts += rest
    return parts[0] if len(parts) == 1 else write.node("Concat", *parts, axis=-1)


ROTARY_EMBEDDING = {
    "RotaryEmbedding": FusedOperator(
        rotary_embedding,
        inputs=4,
        attributes=frozenset({"interleaved", "num_heads", "rotary_embedding_dim", "scale"}),
        constants=frozenset({2, 3}),
    ),
}
