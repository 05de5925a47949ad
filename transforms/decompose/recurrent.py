"""LSTM, GRU and RNN, unrolled over a sequence of fixed length.

onnxruntime's own LSTMGrad and GRUGrad are not accepted by its session for the nodes that exporters
write (1.19.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.rule import (
    RefusedError,
    Rule,
    fixed_size,
    input_of,
    inputs_of,
    integer,
    text,
)
from svgd_onnx.transforms.writer import Writer

# From a step's input, already times W, and the state, to the new state; the state's first is h.
_Cell = Callable[[ir.Value, Sequence[ir.Value]], Sequence[ir.Value]]
_ONLY_ZERO = frozenset({"input_forget", "layout"})
_SUPPORTED = frozenset(
    {"activations", "hidden_size", "direction", "linear_before_reset", "layout", "input_forget"}
)


class _Direction:
    """One direction of a layer: its weights, and its products with them."""

    def __init__(self, node: ir.Node, write: Writer, index: int, gates: int) -> None:
        self.write = write
        self.hidden = integer(node, "hidden_size", 0)
        self.gates = gates
        self.index = index
        self.input_weight = self._transposed(node.inputs[1])
        self.state_weight = self._transposed(node.inputs[2])
        bias = input_of(node, 3)
        self.input_bias: ir.Value | None = None
        self.state_bias: ir.Value | None = None
        if bias is not None:
            both = self._mine(bias)
            halves = write.integers(gates * self.hidden, gates * self.hidden)
            parts = write.nodes_with("Split", [both, halves], {"axis": 0}, 2)
            self.input_bias, self.state_bias = parts

    def add(self, value: ir.Value, bias: ir.Value | None) -> ir.Value:
        return value if bias is None else self.write.node("Add", value, bias)

    def split(self, value: ir.Value, parts: int | None = None) -> Sequence[ir.Value]:
        """The gates of a value (N, gates * hidden)."""
        count = parts or self.gates
        sizes = self.write.integers(*[self.hidden] * count)
        return self.write.nodes_with("Split", [value, sizes], {"axis": -1}, count)

    def initial(self, given: ir.Value | None, step: ir.Value) -> ir.Value:
        """The state before the first step, (N, hidden): zeros of the batch's size if not given."""
        if given is not None:
            return self._mine(given)
        zeros = np.zeros((self.gates * self.hidden, self.hidden), np.float32)
        return self.write.node("MatMul", step, self.write.constant(zeros))

    def _mine(self, value: ir.Value) -> ir.Value:
        return self.write.node("Gather", value, self.write.integer(self.index), axis=0)

    def _transposed(self, value: ir.Value | None) -> ir.Value:
        assert value is not None
        return self.write.node("Transpose", self._mine(value), perm=[1, 0])


def _lstm(direction: _Direction, node: ir.Node) -> _Cell:
    write = direction.write

    def cell(step: ir.Value, state: Sequence[ir.Value]) -> Sequence[ir.Value]:
        hidden, memory = state
        product = write.node("MatMul", hidden, direction.state_weight)
        total = direction.add(write.node("Add", step, product), direction.state_bias)
        given, out, forget, new = direction.split(total)
        kept = write.node("Mul", write.node("Sigmoid", forget), memory)
        added = write.node("Mul", write.node("Sigmoid", given), write.node("Tanh", new))
        memory = write.node("Add", kept, added)
        return write.node("Mul", write.node("Sigmoid", out), write.node("Tanh", memory)), memory

    return cell


def _gru(direction: _Direction, node: ir.Node) -> _Cell:
    write, size = direction.write, direction.hidden
    late = bool(integer(node, "linear_before_reset", 0))
    both = write.integers(2 * size, size)
    weights = write.nodes_with("Split", [direction.state_weight, both], {"axis": 1}, 2)
    bias = direction.state_bias
    biases = (
        [None, None] if bias is None else write.nodes_with("Split", [bias, both], {"axis": 0}, 2)
    )

    def cell(step: ir.Value, state: Sequence[ir.Value]) -> Sequence[ir.Value]:
        (hidden,) = state
        step_gates, step_new = write.nodes_with("Split", [step, both], {"axis": -1}, 2)
        product = direction.add(write.node("MatMul", hidden, weights[0]), biases[0])
        update, reset = direction.split(
            write.node("Sigmoid", write.node("Add", step_gates, product)), 2
        )
        if late:
            past = direction.add(write.node("MatMul", hidden, weights[1]), biases[1])
            past = write.node("Mul", reset, past)
        else:
            past = write.node("MatMul", write.node("Mul", reset, hidden), weights[1])
            past = direction.add(past, biases[1])
        new = write.node("Tanh", write.node("Add", step_new, past))
        # (1 - z) new + z h
        moved = write.node("Mul", update, write.node("Sub", hidden, new))
        return (write.node("Add", new, moved),)

    return cell


def _rnn(direction: _Direction, node: ir.Node) -> _Cell:
    write = direction.write

    def cell(step: ir.Value, state: Sequence[ir.Value]) -> Sequence[ir.Value]:
        product = write.node("MatMul", state[0], direction.state_weight)
        total = direction.add(write.node("Add", step, product), direction.state_bias)
        return (write.node("Tanh", total),)

    return cell


def _unrolled(
    gates: int,
    states: int,
    make: Callable[[_Direction, ir.Node], _Cell],
    activations: Sequence[str],
) -> Rule:
    def rule(node: ir.Node, write: Writer) -> Sequence[ir.Value | None]:
        (x,) = inputs_of(node, 1)
        steps = fixed_size(x, 0)
        _check_plain(node, activations)
        mode = text(node, "direction", "forward")
        flags = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[mode]
        hidden_of, last = [], []
        for index, backwards in enumerate(flags):
            direction = _Direction(node, write, index, gates)
            product = write.node("MatMul", x, direction.input_weight)
            product = direction.add(product, direction.input_bias)
            # Equal parts without a list of them: onnx's shape inference is not shown long constants.
            equal = {"num_outputs": steps} if write.opset >= 18 else {}
            split = write.nodes_with("Split", [product], {"axis": 0, **equal}, steps)
            inputs = [write.node("Squeeze", part, write.integers(0)) for part in split]
            state: Sequence[ir.Value] = [
                direction.initial(input_of(node, place), inputs[0])
                for place in range(5, 5 + states)
            ]
            cell = make(direction, node)
            hidden: dict[int, ir.Value] = {}
            for place in reversed(range(steps)) if backwards else range(steps):
                state = cell(inputs[place], state)
                hidden[place] = state[0]
            hidden_of.append(hidden)
            last.append(state)
        sequence = [
            _stack(write, [hidden[place] for hidden in hidden_of], 0) for place in range(steps)
        ]
        outputs: list[ir.Value | None] = [_stack(write, sequence, 0)]
        outputs += [_stack(write, [state[i] for state in last], 0) for i in range(states)]
        return outputs[: len(node.outputs)]

    return rule


def _check_plain(node: ir.Node, activations: Sequence[str]) -> None:
    """Refuses what the cells do not compute."""
    for position, name in ((4, "sequence_lens"), (7, "P")):
        if input_of(node, position) is not None:
            raise RefusedError(f"its input {name} is given")
    for name in node.attributes:
        if name not in _SUPPORTED or (name in _ONLY_ZERO and integer(node, name, 0)):
            raise RefusedError(f"its attribute {name} is given")
    attribute = node.attributes.get("activations")
    # some exporters spell out the default ones
    for place, name in enumerate([] if attribute is None else attribute.as_strings()):
        if name.lower() != activations[place % len(activations)]:
            raise RefusedError(f"its activation {name} is not the default one")


def _stack(write: Writer, values: Sequence[ir.Value], axis: int) -> ir.Value:
    apart = [write.node("Unsqueeze", value, write.integers(axis)) for value in values]
    return apart[0] if len(apart) == 1 else write.node("Concat", *apart, axis=axis)


RECURRENT: dict[str, Rule] = {
    "GRU": _unrolled(3, 1, _gru, ("sigmoid", "tanh")),
    "LSTM": _unrolled(4, 2, _lstm, ("sigmoid", "tanh", "tanh")),
    "RNN": _unrolled(1, 1, _rnn, ("tanh",)),
}
