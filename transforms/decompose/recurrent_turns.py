"""The turns of one direction of a recurrent layer: one after another, or as a Scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.decompose.recurrent_cells import Cell, Direction
from svgd_onnx.transforms.rule import fixed_size, input_of, inputs_of
from svgd_onnx.transforms.writer import Writer

# What a direction gives: the hidden states of all steps, (T, N, hidden), and each state after the last.
Turned = tuple[ir.Value, Sequence[ir.Value]]

_FIRST_STATE = 5


@dataclass(frozen=True)
class Layer:
    """One direction of a layer.

    Attributes:
        cell, node: what it is.
        direction: its weights.
        product: the sequence times its input weights, (T, N, gates * hidden).
        backwards: whether it goes from the last step to the first.
    """

    cell: Cell
    node: ir.Node
    direction: Direction
    product: ir.Value
    backwards: bool

    @property
    def write(self) -> Writer:
        """What it is written with."""
        return self.direction.write

    @property
    def lengths(self) -> ir.Value | None:
        """Those of the sequences, (N,); None if all have all steps."""
        return input_of(self.node, 4)

    @property
    def given(self) -> list[ir.Value | None]:
        """The states before the first turn, of all directions; None where they are zeros."""
        places = range(_FIRST_STATE, _FIRST_STATE + self.cell.states)
        return [input_of(self.node, place) for place in places]


def unrolled(layer: Layer) -> Turned:
    """The turns of a sequence of fixed length, one after another."""
    write, (x,) = layer.write, inputs_of(layer.node, 1)
    steps = fixed_size(x, 0)
    # Equal parts without a list of them: onnx's shape inference is not shown long constants.
    equal = {"num_outputs": steps} if write.opset >= 18 else {}
    split = write.nodes_with("Split", [layer.product], {"axis": 0, **equal}, steps)
    inputs = [write.node("Squeeze", part, write.integers(0)) for part in split]
    within = _within(write, layer.lengths, steps)
    state: Sequence[ir.Value] = [layer.direction.initial(given, inputs[0]) for given in layer.given]
    step = layer.cell.step(layer.direction, layer.node)
    hidden: dict[int, ir.Value] = {}
    for place in reversed(range(steps)) if layer.backwards else range(steps):
        before, state = state, step(inputs[place], state)
        hidden[place] = state[0]
        if within:
            hidden[place], state = _ended(write, within[place], before, state)
    return stacked(write, [hidden[place] for place in range(steps)], 0), state


def scanned(layer: Layer) -> Turned:
    """The turns of a sequence of any length, as a Scan."""
    write = layer.write
    (x,) = inputs_of(layer.node, 1)
    step = layer.cell.step(layer.direction, layer.node)
    hidden, gates = layer.direction.hidden, layer.direction.gates * layer.direction.hidden
    initial = [
        _zeros(write, x, hidden) if given is None else layer.direction.mine(given)
        for given in layer.given
    ]
    scans = [layer.product]
    if layer.lengths is not None:
        places = write.positions(write.node("Shape", x, start=0, end=1))
        places = write.node("Unsqueeze", places, write.integers(1, 2))
        lengths = write.node("Unsqueeze", write.cast(layer.lengths, "int64"), write.integers(1))
        scans.append(write.node("Less", places, lengths))
    name = f"{layer.product.name}/turn"
    examples = None if x.shape is None else x.shape[1]
    before = [_entry(f"{name}/state_{i}", examples, hidden) for i in range(layer.cell.states)]
    taken = [_entry(f"{name}/input", examples, gates)]
    if layer.lengths is not None:
        taken.append(_entry(f"{name}/within", examples, 1, ir.DataType.BOOL))
    with write.in_a_body() as nodes:
        after = step(taken[0], before)
        given = after[0]
        if layer.lengths is not None:
            given, after = _ended(write, taken[1], before, after)
        given = write.node("Identity", given)  # apart from the state
    body = ir.Graph([*before, *taken], [*after, given], nodes=nodes, name=name)
    ways = [int(layer.backwards)]
    *states, sequence = write.nodes_with(
        "Scan",
        [*initial, *scans],
        {
            "body": body,
            "num_scan_inputs": len(scans),
            "scan_input_directions": ways * len(scans),
            "scan_output_directions": ways,
        },
        len(initial) + 1,
    )
    return sequence, states


def stacked(write: Writer, values: Sequence[ir.Value], axis: int) -> ir.Value:
    """Values along a new axis."""
    apart = [write.node("Unsqueeze", value, write.integers(axis)) for value in values]
    return apart[0] if len(apart) == 1 else write.node("Concat", *apart, axis=axis)


def _zeros(write: Writer, x: ir.Value, size: int) -> ir.Value:
    """(N, size), for x (T, N, ...); of the product, as in a row, their gradient would be as large as it."""
    shape = write.node(
        "Concat", write.node("Shape", x, start=1, end=2), write.integers(size), axis=0
    )
    return write.node("ConstantOfShape", shape)


def _entry(
    name: str,
    examples: int | ir.SymbolicDim | None,
    size: int,
    dtype: ir.DataType = ir.DataType.FLOAT,
) -> ir.Value:
    return ir.val(name, dtype=dtype, shape=ir.Shape([examples, size]))


def _within(write: Writer, lengths: ir.Value | None, steps: int) -> list[ir.Value]:
    """For each step whether it is one of a sequence, (N, 1); nothing if all sequences have all steps."""
    if lengths is None:
        return []
    column = write.node("Unsqueeze", lengths, write.integers(1))
    places = (write.constant(np.array(place, np.int32)) for place in range(steps))
    return [write.node("Less", place, column) for place in places]


def _ended(
    write: Writer, within: ir.Value, before: Sequence[ir.Value], after: Sequence[ir.Value]
) -> tuple[ir.Value, list[ir.Value]]:
    """What is given out, and the states, where a sequence may have ended before."""
    given = write.node("Mul", after[0], write.cast(within, "float32"))
    return given, [write.node("Where", within, *each) for each in zip(after, before)]
