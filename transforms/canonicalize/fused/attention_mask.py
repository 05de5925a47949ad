"""What onnxruntime's attention operators take for a mask, as numbers that are added to the scores."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.rule import RefusedError, known_rank
from svgd_onnx.transforms.writer import Writer


def mask_scores(
    write: Writer, mask: ir.Value, batch: ir.Value, keys: ir.Value, masked: float
) -> ir.Value:
    """0 where a key is to be seen, a large negative number where it is not.

    Args:
        mask: of integers: (batch, keys) or (batch, queries, keys), above 0 where a key is seen; or
            (batch), where the keys of each example end; or (2 batch), where they end, then where they
            begin.
        batch: how many examples there are, a vector of one number.
        keys: how many keys, a vector of one number.
        masked: the negative number.

    Returns:
        To be broadcast to (batch, heads, queries, keys).

    Raises:
        RefusedError: the number of the mask's axes is not known, or four.
    """
    rank = known_rank(mask, of="its mask")
    if rank > 3:
        raise RefusedError("its mask has four axes")
    if rank == 1:
        seen = _between(write, write.cast(mask, "int64"), batch, keys)
    else:
        seen = write.node("Greater", write.cast(mask, "int64"), write.integer(0))
    scores = write.node("Where", seen, write.scalar(0.0), write.scalar(masked))
    return write.node("Unsqueeze", scores, write.integers(*((1,) if rank == 3 else (1, 2))))


def _between(write: Writer, mask: ir.Value, batch: ir.Value, keys: ir.Value) -> ir.Value:
    """Whether a key lies before the end that its example has, and not before its beginning: (batch, keys)."""
    zero, one = write.integers(0), write.integers(1)
    twice = write.node("Add", batch, batch)
    zeros = write.node("Expand", zero, batch)
    ends = write.node("Slice", mask, zero, batch)
    begins = write.node("Slice", write.node("Concat", mask, zeros, axis=0), batch, twice)
    # other vectors begin with the ends too, and do not go on with beginnings
    of_two = write.cast(write.node("Equal", write.node("Shape", mask), twice), "int64")
    begins = write.node("Mul", begins, of_two)
    places = write.positions(keys)
    before = write.node("Less", places, write.node("Unsqueeze", ends, one))
    behind = write.node("GreaterOrEqual", places, write.node("Unsqueeze", begins, one))
    return write.node("And", before, behind)


def only_before(
    write: Writer, scores: ir.Value, queries: ir.Value, keys: ir.Value, past: ir.Value | None
) -> ir.Value:
    """Scores of queries and keys, of which those that come after the query have the lowest there is.

    Args:
        scores: (batch, heads, queries, keys).
        queries, keys: how many, vectors of one number.
        past: how many keys are from before the first query; none if it is not given.
    """
    places = write.positions(queries)
    if past is not None:
        places = write.node("Add", places, past)
    row = write.node("Unsqueeze", places, write.integers(1))
    seen = write.node("LessOrEqual", write.positions(keys), row)
    return write.node("Where", seen, scores, write.scalar(float(np.finfo(np.float32).min)))
