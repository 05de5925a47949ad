"""Integers that a model may be given: what it does with an input tells which numbers mean something."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

# Between an input and what it indexes.
_PASSED_THROUGH = frozenset(
    {"Cast", "Expand", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)
# Recurrent layers take lengths of sequences as their fifth input.
_RECURRENT = frozenset({"GRU", "LSTM", "RNN"})


def random_integers(
    value: ir.Value, shape: Sequence[int], random: np.random.Generator
) -> np.ndarray:
    """Integers for a graph input.

    Numbers that index an embedding, or become a one-hot vector, are any of its rows; lengths of sequences are
    from 1 on; others, and truth values, are ones: a mask that hides nothing.

    Args:
        value: the input.
        shape: of the array.
        random: where numbers come from.
    """
    rows, steps = [], []
    pending = [value]
    while pending:
        for node, position in pending.pop().uses():
            if node.op_type in _PASSED_THROUGH and position == 0:
                pending.extend(node.outputs)
            elif (count := _rows(node, position)) is not None:
                rows.append(count)
            elif node.op_type in _RECURRENT and position == 4:
                steps += _first_size(node)
    if rows:
        return random.integers(min(rows), size=shape)
    return random.integers(1, min(steps) + 1, size=shape) if steps else np.ones(shape)


def _rows(node: ir.Node, position: int) -> int | None:
    """How many numbers an operator knows apart in an input, from 0 on."""
    if node.op_type == "Gather" and position == 1:
        return next(iter(_first_size(node)), None)
    if node.op_type == "OneHot" and position == 0:
        return next((int(depth) for depth in _constant(node, 1)), None)
    if node.op_type == "Equal":  # a one-hot vector, written out
        numbers = _constant(node, 1 - position)
        if numbers.size > 1 and np.array_equal(numbers, np.arange(numbers.size)):
            return numbers.size
    return None


def _constant(node: ir.Node, position: int) -> np.ndarray:
    """The numbers of an input, in a row; none where it is computed."""
    value = node.inputs[position]
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return np.array([]) if tensor is None else tensor.numpy().reshape(-1)


def _first_size(node: ir.Node) -> list[int]:
    """That of an operator's first input, where it is fixed."""
    first = node.inputs[0]
    size = first.shape[0] if first is not None and first.shape else None
    return [size] if isinstance(size, int) and size > 0 else []
