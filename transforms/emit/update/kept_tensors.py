"""The tensors that a step keeps for the next one, beside r and the running statistics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import onnx_ir as ir

from svgd_onnx.records import ACCUMULATED, AVERAGE, State
from svgd_onnx.step_names import STEPS
from svgd_onnx.transforms.emit.update.groups import apart, joined
from svgd_onnx.transforms.optimizers.update import Update
from svgd_onnx.transforms.writer import Writer


class KeptTensors(ABC):
    """Inputs of a graph, by name, and what becomes of them, which a target writes in a way of its own.

    Args:
        graph: where they are.
        update: what asks for them.

    Attributes:
        states: an account of them. Before the first step they are zero, averages and anchors their parameters.
        is_last: whether this batch changes more than the accumulated gradients; None if each does.
        leaves_out: whether that is because a batch of gradients that are not finite changes nothing.
    """

    def __init__(self, graph: ir.Graph, update: Update) -> None:
        self.states: list[State] = []
        self.is_last: ir.Value | None = None
        self.leaves_out = False
        self._graph = graph
        self._update = update
        self._inputs: dict[str, ir.Value] = {}
        self._steps: ir.Value | None = None
        self._later: ir.Value | None = None

    @abstractmethod
    def becomes(self, before: ir.Value, after: ir.Value) -> None:
        """Makes a tensor another one at the next step."""

    def writer(self, name: str) -> Writer:
        """For nodes that are of no group."""
        return Writer(name, self._graph.opset_imports[""])

    def of(self, parameters: Sequence[ir.Value], state: str) -> list[ir.Value]:
        """The state of that name of each parameter, as it is."""
        return [
            self.input(
                f"{parameter.name}.{state}", self._shape(parameter, state), state, parameter.name
            )
            for parameter in parameters
        ]

    def as_one(self, write: Writer, parameters: Sequence[ir.Value], state: str) -> ir.Value:
        """`of` as one tensor."""
        return joined(write, self.of(parameters, state))

    def steps(self) -> ir.Value:
        """How many updates there have been, with this one; the same for all parameters."""
        if self._steps is None:
            write = self.writer(STEPS)
            before = self.input(STEPS, [], "steps")
            self._steps = write.node("Add", before, write.scalar(1))
            self.new(write, [before], self._steps)
            write.append_to(self._graph)
        return self._steps

    def averaged(
        self, write: Writer, parameters: Sequence[ir.Value], new_parameters: ir.Value
    ) -> None:
        """Has averages follow parameters: after the first update they are these."""
        decay = self._update.average
        if decay is None:
            return
        if self._later is None:
            first = self.writer("svgd.average")
            self._later = first.node("Greater", self.steps(), first.scalar(1))
            first.append_to(self._graph)
        before = self.of(parameters, AVERAGE)
        average = write.node(
            "Add",
            write.node("Mul", joined(write, before), write.scalar(decay)),
            write.node("Mul", new_parameters, write.scalar(1 - decay)),
        )
        self.new(write, before, write.node("Where", self._later, average, new_parameters))

    def accumulate(
        self, write: Writer, parameters: Sequence[ir.Value], gradient: ir.Value
    ) -> ir.Value:
        """Adds the gradients' share of the mean over batches to what those before have come to."""
        before = self.of(parameters, ACCUMULATED)
        batches = self._update.accumulation_steps
        share = write.node("Mul", gradient, write.scalar(1 / batches))
        total = write.node("Add", joined(write, before), share)
        assert self.is_last is not None
        left = write.node("Where", self.is_last, write.scalar(0), total)
        self._apart(write, before, left)
        return total

    def new(self, write: Writer, old: Sequence[ir.Value], value: ir.Value) -> None:
        """Makes `value` what the inputs `old` are at the next step, if this batch is a step's last."""
        if self.is_last is not None:
            value = write.node("Where", self.is_last, value, joined(write, old))
        self._apart(write, old, value)

    def input(
        self, name: str, shape: Sequence[int], state: str, parameter: str | None = None
    ) -> ir.Value:
        """The input of a state; a new one where there is none."""
        if name not in self._inputs:
            self.states.append(State(name, list(shape), state, parameter))
            self._inputs[name] = ir.val(name, ir.DataType.FLOAT, shape)
            self._graph.inputs.append(self._inputs[name])
        return self._inputs[name]

    def _shape(self, parameter: ir.Value, state: str) -> Sequence[int]:
        shape = [int(size) for size in parameter.shape or () if isinstance(size, int)]
        return self._update.optimizer.state(shape).get(state, shape)

    def _apart(self, write: Writer, old: Sequence[ir.Value], value: ir.Value) -> None:
        for before, after in zip(old, apart(write, value, old)):
            self.becomes(before, after)
