"""One step of LSTM, GRU and RNN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.decompose.recurrent_activations import Activation
from svgd_onnx.transforms.rule import input_of, integer
from svgd_onnx.transforms.writer import Writer

# From a step's input, already times W, and the state, to the new state; the state's first is h.
Step = Callable[[ir.Value, Sequence[ir.Value]], Sequence[ir.Value]]


class Direction:
    """One direction of a layer: its weights, its activations, and its products with them."""

    def __init__(
        self,
        node: ir.Node,
        write: Writer,
        index: int,
        gates: int,
        activations: Sequence[Activation],
    ) -> None:
        self.write = write
        self.hidden = integer(node, "hidden_size", 0)
        self.gates = gates
        self.index = index
        self.activations = activations
        self.input_weight = self._transposed(node.inputs[1])
        self.state_weight = self._transposed(node.inputs[2])
        bias = input_of(node, 3)
        self.input_bias: ir.Value | None = None
        self.state_bias: ir.Value | None = None
        if bias is not None:
            both = self.mine(bias)
            halves = write.integers(gates * self.hidden, gates * self.hidden)
            parts = write.nodes_with("Split", [both, halves], {"axis": 0}, 2)
            self.input_bias, self.state_bias = parts

    def add(self, value: ir.Value, bias: ir.Value | None) -> ir.Value:
        """The sum of a value and a bias, if there is one."""
        return value if bias is None else self.write.node("Add", value, bias)

    def split(self, value: ir.Value, parts: int | None = None) -> Sequence[ir.Value]:
        """The gates of a value (..., gates * hidden)."""
        count = parts or self.gates
        sizes = self.write.integers(*[self.hidden] * count)
        return self.write.nodes_with("Split", [value, sizes], {"axis": -1}, count)

    def part(self, value: ir.Value, place: int) -> ir.Value:
        """One gate of a value (..., gates * hidden)."""
        bounds = (self.write.integers((place + end) * self.hidden) for end in (0, 1))
        return self.write.node("Slice", value, *bounds, self.write.integers(-1))

    def initial(self, given: ir.Value | None, step: ir.Value) -> ir.Value:
        """The state before the first step, (N, hidden): zeros of the batch's size if not given."""
        if given is not None:
            return self.mine(given)
        zeros = np.zeros((self.gates * self.hidden, self.hidden), np.float32)
        return self.write.node("MatMul", step, self.write.constant(zeros))

    def mine(self, value: ir.Value) -> ir.Value:
        """What a tensor of all directions has for this one."""
        return self.write.node("Gather", value, self.write.integer(self.index), axis=0)

    def _transposed(self, value: ir.Value | None) -> ir.Value:
        assert value is not None
        return self.write.node("Transpose", self.mine(value), perm=[1, 0])


@dataclass(frozen=True)
class Cell:
    """A recurrent operator.

    Attributes:
        gates: how many products with the input there are.
        states: how many tensors are carried from step to step.
        activations: their usual ones.
        step: makes a step.
        attributes: those it heeds besides the ones that all have.
    """

    gates: int
    states: int
    activations: tuple[str, ...]
    step: Callable[[Direction, ir.Node], Step]
    attributes: frozenset[str] = frozenset()


def lstm(direction: Direction, node: ir.Node) -> Step:
    """Peepholes, which gates have into the memory, are those of input, output and forget gate."""
    write = direction.write
    gate, update, result = direction.activations
    given_peepholes = input_of(node, 7)
    peepholes: Sequence[ir.Value | None] = [None] * 3
    if given_peepholes is not None:
        of_direction = direction.mine(given_peepholes)
        peepholes = [direction.part(of_direction, place) for place in range(3)]
    coupled = bool(integer(node, "input_forget", 0))

    def seeing(value: ir.Value, memory: ir.Value, peephole: ir.Value | None) -> ir.Value:
        seen = None if peephole is None else write.node("Mul", memory, peephole)
        return direction.add(value, seen)

    def step(product_of_input: ir.Value, state: Sequence[ir.Value]) -> Sequence[ir.Value]:
        hidden, memory = state
        product = write.node("MatMul", hidden, direction.state_weight)
        total = direction.add(write.node("Add", product_of_input, product), direction.state_bias)
        if coupled:
            given, out, new = (direction.part(total, place) for place in (0, 1, 3))
            given = gate(seeing(given, memory, peepholes[0]))
            forget = write.node("Sub", write.scalar(1.0), given)
        else:
            given, out, forget, new = direction.split(total)
            given = gate(seeing(given, memory, peepholes[0]))
            forget = gate(seeing(forget, memory, peepholes[2]))
        kept = write.node("Mul", forget, memory)
        added = write.node("Mul", given, update(new))
        memory = write.node("Add", kept, added)
        return write.node("Mul", gate(seeing(out, memory, peepholes[1])), result(memory)), memory

    return step


def gru(direction: Direction, node: ir.Node) -> Step:
    write, size = direction.write, direction.hidden
    gate, update = direction.activations
    late = bool(integer(node, "linear_before_reset", 0))
    both = write.integers(2 * size, size)
    weights = write.nodes_with("Split", [direction.state_weight, both], {"axis": 1}, 2)
    bias = direction.state_bias
    biases: Sequence[ir.Value | None] = [None, None]
    if bias is not None:
        biases = write.nodes_with("Split", [bias, both], {"axis": 0}, 2)

    def step(product_of_input: ir.Value, state: Sequence[ir.Value]) -> Sequence[ir.Value]:
        (hidden,) = state
        step_gates, step_new = write.nodes_with("Split", [product_of_input, both], {"axis": -1}, 2)
        product = direction.add(write.node("MatMul", hidden, weights[0]), biases[0])
        kept, reset = direction.split(gate(write.node("Add", step_gates, product)), 2)
        if late:
            past = direction.add(write.node("MatMul", hidden, weights[1]), biases[1])
            past = write.node("Mul", reset, past)
        else:
            past = write.node("MatMul", write.node("Mul", reset, hidden), weights[1])
            past = direction.add(past, biases[1])
        new = update(write.node("Add", step_new, past))
        # (1 - z) new + z h
        moved = write.node("Mul", kept, write.node("Sub", hidden, new))
        return (write.node("Add", new, moved),)

    return step


def rnn(direction: Direction, node: ir.Node) -> Step:
    write = direction.write
    (update,) = direction.activations

    def step(product_of_input: ir.Value, state: Sequence[ir.Value]) -> Sequence[ir.Value]:
        product = write.node("MatMul", state[0], direction.state_weight)
        total = direction.add(write.node("Add", product_of_input, product), direction.state_bias)
        return (update(total),)

    return step


CELLS = {
    "GRU": Cell(3, 1, ("Sigmoid", "Tanh"), gru, frozenset({"linear_before_reset"})),
    "LSTM": Cell(4, 2, ("Sigmoid", "Tanh", "Tanh"), lstm, frozenset({"input_forget"})),
    "RNN": Cell(1, 1, ("Tanh",), rnn),
}
