"""LSTM, GRU and RNN, unrolled over a sequence of fixed length.

onnxruntime's own LSTMGrad and GRUGrad are not accepted by its session for the nodes that exporters
write (1.19.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.decompose.recurrent_activations import activations_of
from svgd_onnx.transforms.decompose.recurrent_cells import CELLS, Cell, Direction
from svgd_onnx.transforms.rule import (
    RefusedError,
    Rule,
    fixed_size,
    input_of,
    inputs_of,
    text,
)
from svgd_onnx.transforms.writer import Writer

_ATTRIBUTES = frozenset(
    {"activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size"}
)
_BACKWARDS = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}


def unrolled(cell: Cell, node: ir.Node, write: Writer) -> Sequence[ir.Value | None]:
    """Step by step; beyond the end of a shorter sequence its state stays, and what is given out is 0."""
    (x,) = inputs_of(node, 1)
    steps = fixed_size(x, 0)
    for name, attribute in node.attributes.items():
        if name not in _ATTRIBUTES | cell.attributes and attribute.value:
            raise RefusedError(f"its attribute {name} is given")
    flags = _BACKWARDS[text(node, "direction", "forward")]
    activations = activations_of(node, write, cell.activations, len(flags))
    within = _within(write, input_of(node, 4), steps)
    hidden_of, last = [], []
    for index, backwards in enumerate(flags):
        direction = Direction(node, write, index, cell.gates, activations[index])
        product = write.node("MatMul", x, direction.input_weight)
        product = direction.add(product, direction.input_bias)
        # Equal parts without a list of them: onnx's shape inference is not shown long constants.
        equal = {"num_outputs": steps} if write.opset >= 18 else {}
        split = write.nodes_with("Split", [product], {"axis": 0, **equal}, steps)
        inputs = [write.node("Squeeze", part, write.integers(0)) for part in split]
        state: Sequence[ir.Value] = [
            direction.initial(input_of(node, place), inputs[0])
            for place in range(5, 5 + cell.states)
        ]
        step = cell.step(direction, node)
        hidden: dict[int, ir.Value] = {}
        for place in reversed(range(steps)) if backwards else range(steps):
            before, state = state, step(inputs[place], state)
            hidden[place] = state[0]
            if within:
                hidden[place] = write.node("Mul", state[0], write.cast(within[place], "float32"))
                state = [write.node("Where", within[place], *each) for each in zip(state, before)]
        hidden_of.append(hidden)
        last.append(state)
    sequence = [_stack(write, [hidden[place] for hidden in hidden_of], 0) for place in range(steps)]
    outputs: list[ir.Value | None] = [_stack(write, sequence, 0)]
    outputs += [_stack(write, [state[i] for state in last], 0) for i in range(cell.states)]
    return outputs[: len(node.outputs)]


def _within(write: Writer, lengths: ir.Value | None, steps: int) -> list[ir.Value]:
    """For each step whether it is one of a sequence, (N, 1); nothing if all sequences have all steps."""
    if lengths is None:
        return []
    column = write.node("Unsqueeze", lengths, write.integers(1))
    places = (write.constant(np.array(place, np.int32)) for place in range(steps))
    return [write.node("Less", place, column) for place in places]


def _stack(write: Writer, values: Sequence[ir.Value], axis: int) -> ir.Value:
    apart = [write.node("Unsqueeze", value, write.integers(axis)) for value in values]
    return apart[0] if len(apart) == 1 else write.node("Concat", *apart, axis=axis)


RECURRENT: dict[str, Rule] = {name: partial(unrolled, cell) for name, cell in CELLS.items()}
