"""The optimizer as standard operators, in the graph that computes the gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import onnx_ir as ir

from svgd_onnx.step_names import LEARNING_RATE, NEW_SUFFIX, STEPS, UPDATE
from svgd_onnx.transforms.losses.add_loss import LOSS_OUTPUT
from svgd_onnx.transforms.names import gradient_name
from svgd_onnx.transforms.optimizers import OPTIMIZERS
from svgd_onnx.transforms.optimizers.step import Step
from svgd_onnx.transforms.virtualize import DOMAIN
from svgd_onnx.transforms.writer import Writer

# Numbers in a vector, up to which the start of an operator takes longer than the operator.
_SHORT = 1 << 14


class ParameterUpdate(ir.passes.InPlacePass):
    """Replaces the gradients among the graph's outputs by the parameters after a step.

    Short vectors (biases, scales) are updated as one: an update is of numbers, each by itself, and of a
    deep network most operators would be those of vectors.

    Args:
        parameters: the trainable parameters.
        optimizer: a key of `OPTIMIZERS`; its formula stands there.
        hyper_parameters: values for all of the optimizer's `defaults`.
        accumulation_steps: over how many batches gradients are averaged. Above 1 the graph has an input
            `svgd.update`, bool: whether this batch is the last of them, and parameters change.
        fast: whether operators of ours may be used.

    Requires: each parameter is an input and its gradient an output; so is the loss.
    Ensures: the loss is the first output, and no gradient is one; there is an input
        `svgd.learning_rate`, float32 scalar; for each parameter and each tensor of `states` there is an
        input, and an output of its name with `NEW_SUFFIX`; each state of the optimizer is in `states`.

    Attributes:
        states: shapes of the tensors that are kept from one step to the next, by name. They start at
            zero.
    """

    def __init__(
        self,
        parameters: Sequence[str],
        optimizer: str,
        hyper_parameters: Mapping[str, float],
        accumulation_steps: int = 1,
        fast: bool = False,
    ) -> None:
        super().__init__()
        self.states: dict[str, list[int]] = {}
        self._parameters = list(parameters)
        self._optimizer = OPTIMIZERS[optimizer]
        self._hyper_parameters = hyper_parameters
        self._accumulation_steps = accumulation_steps
        self._fast = fast

    def requires(self, model: ir.Model) -> None:
        inputs = {value.name for value in model.graph.inputs}
        outputs = {value.name for value in model.graph.outputs}
        if LOSS_OUTPUT not in outputs:
            raise ir.passes.PreconditionError("the loss is not an output")
        for name in self._parameters:
            if name not in inputs or gradient_name(name) not in outputs:
                raise ir.passes.PreconditionError(
                    f"'{name}' is not an input, or its gradient not an output"
                )

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        inputs = {value.name: value for value in graph.inputs}
        outputs = {value.name: value for value in graph.outputs}
        rate = ir.val(LEARNING_RATE, ir.DataType.FLOAT, [])
        graph.inputs.append(rate)
        changes = _Changes(graph, self.states)
        if self._accumulation_steps > 1:
            changes.update = ir.val(UPDATE, ir.DataType.BOOL, [])
            graph.inputs.append(changes.update)
        for names in self._groups(graph):
            parameters = [inputs[name] for name in names]
            gradients = [outputs.pop(gradient_name(name)) for name in names]
            prefix = names[0] if len(names) == 1 else UPDATE
            write = Writer(f"{prefix}/update", graph.opset_imports[""])
            gradient = _joined(write, gradients)
            if changes.update is not None:
                before = changes.states_of(parameters, "accumulated_gradient")
                gradient = changes.accumulate(write, before, gradient, self._accumulation_steps)
            step = Step(
                write,
                _joined(write, parameters),
                gradient,
                rate,
                self._hyper_parameters,
                partial(changes.joined_state, write, parameters),
                changes.steps,
                DOMAIN if self._fast else None,
            )
            new_parameters, new_states = self._optimizer.formula(step)
            for key, value in new_states.items():
                changes.new(write, changes.states_of(parameters, key), value)
            changes.new(write, parameters, new_parameters)
            changes.flush(write)
        graph.outputs.clear()
        graph.outputs.extend([outputs.pop(LOSS_OUTPUT), *outputs.values(), *changes.outputs])
        return ir.passes.PassResult(model, modified=True)

    def _groups(self, graph: ir.Graph) -> list[list[str]]:
        """Which parameters are updated together: all short vectors, each other one by itself.

        In their order, as onnxruntime computes what stands last first: the gradients that the backward
        pass comes to first. The vectors wait for the last of theirs.
        """
        outputs = {value.name: value for value in graph.outputs}
        place: dict[ir.Node | None, int] = {node: place for place, node in enumerate(graph)}
        ordered = sorted(
            self._parameters,
            key=lambda name: place.get(outputs[gradient_name(name)].producer(), 0),
            reverse=True,
        )
        inputs = {value.name: value for value in graph.inputs}
        short = [name for name in ordered if _is_short_vector(inputs[name])]
        others = [[name] for name in ordered if not _is_short_vector(inputs[name])]
        return [short, *others] if short else others

    def ensures(self, model: ir.Model) -> None:
        inputs = {value.name: value for value in model.graph.inputs}
        outputs = {value.name for value in model.graph.outputs}
        if model.graph.outputs[0].name != LOSS_OUTPUT:
            raise ir.passes.PostconditionError("the first output is not the loss")
        if any(gradient_name(name) in outputs for name in self._parameters):
            raise ir.passes.PostconditionError("a gradient is still an output")
        rate = inputs.get(LEARNING_RATE)
        if rate is None or rate.dtype != ir.DataType.FLOAT or rate.shape != ir.Shape([]):
            raise ir.passes.PostconditionError("the learning rate is not a float32 scalar input")
        for name in (*self._parameters, *self.states):
            if name not in inputs or f"{name}{NEW_SUFFIX}" not in outputs:
                raise ir.passes.PostconditionError(f"'{name}' does not change")
        for name in self._parameters:
            if any(f"{name}.{state}" not in self.states for state in self._optimizer.state):
                raise ir.passes.PostconditionError(f"a state of '{name}' is missing")


@dataclass
class _Changes:
    """The tensors that a step changes: inputs, and outputs with what they are after it.

    Attributes:
        graph: where they are.
        states: shapes of those that are not parameters, by name.
        update: whether this batch changes more than the accumulated gradients; None if each does.
        outputs: what tensors are after the step.
    """

    graph: ir.Graph
    states: dict[str, list[int]]
    update: ir.Value | None = None
    outputs: list[ir.Value] = field(default_factory=list)
    _inputs: dict[str, ir.Value] = field(default_factory=dict)
    _steps: ir.Value | None = None

    def states_of(self, parameters: Sequence[ir.Value], name: str) -> list[ir.Value]:
        """The state of that name of each parameter, of the parameter's shape."""
        return [
            self._input(
                f"{parameter.name}.{name}",
                [int(size) for size in parameter.shape or () if isinstance(size, int)],
            )
            for parameter in parameters
        ]

    def joined_state(self, write: Writer, parameters: Sequence[ir.Value], name: str) -> ir.Value:
        """`states_of` as one tensor."""
        return _joined(write, self.states_of(parameters, name))

    def steps(self) -> ir.Value:
        """How many updates there have been, with this one; the same for all parameters."""
        if self._steps is None:
            write = Writer(STEPS, self.graph.opset_imports[""])
            before = self._input(STEPS, [])
            self._steps = write.node("Add", before, write.scalar(1))
            self.new(write, [before], self._steps)
            self.flush(write)
        return self._steps

    def accumulate(
        self, write: Writer, before: Sequence[ir.Value], gradient: ir.Value, batches: int
    ) -> ir.Value:
        """Adds the gradients' share of the mean over batches to what those before have come to."""
        share = write.node("Mul", gradient, write.scalar(1 / batches))
        total = write.node("Add", _joined(write, before), share)
        self._output(write, before, write.node("Where", self.update, write.scalar(0), total))
        return total

    def new(self, write: Writer, old: Sequence[ir.Value], value: ir.Value) -> None:
        """Makes `value` what the inputs `old` are at the next step, if this batch is a step's last."""
        if self.update is not None:
            value = write.node("Where", self.update, value, _joined(write, old))
        self._output(write, old, value)

    def flush(self, write: Writer) -> None:
        """Puts what was written into the graph."""
        for constant in write.constants:
            self.graph.register_initializer(constant)
        self.graph.extend(write.nodes)

    def _input(self, name: str, shape: list[int]) -> ir.Value:
        if name not in self._inputs:
            self.states[name] = shape
            self._inputs[name] = ir.val(name, ir.DataType.FLOAT, shape)
            self.graph.inputs.append(self._inputs[name])
        return self._inputs[name]

    def _output(self, write: Writer, old: Sequence[ir.Value], value: ir.Value) -> None:
        for before, after in zip(old, _apart(write, value, old)):
            after.name = f"{before.name}{NEW_SUFFIX}"
            after.type, after.shape = before.type, before.shape
            self.outputs.append(after)


def _is_short_vector(parameter: ir.Value) -> bool:
    shape = list(parameter.shape or ())
    return len(shape) == 1 and isinstance(shape[0], int) and 0 < shape[0] <= _SHORT


def _joined(write: Writer, vectors: Sequence[ir.Value]) -> ir.Value:
    """Vectors as one; a tensor that is alone as it is."""
    return vectors[0] if len(vectors) == 1 else write.node("Concat", *vectors, axis=0)


def _apart(write: Writer, joined: ir.Value, like: Sequence[ir.Value]) -> Sequence[ir.Value]:
    """Undoes `_joined`."""
    if len(like) == 1:
        return [joined]
    sizes = [size for vector in like for size in vector.shape or () if isinstance(size, int)]
    return write.nodes_with("Split", [joined, write.integers(*sizes)], {"axis": 0}, len(like))
