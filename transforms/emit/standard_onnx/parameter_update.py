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
from svgd_onnx.transforms.writer import Writer


class ParameterUpdate(ir.passes.InPlacePass):
    """Replaces the gradients among the graph's outputs by the parameters after a step.

    Args:
        parameters: the trainable parameters.
        optimizer: a key of `OPTIMIZERS`; its formula stands there.
        hyper_parameters: values for all of the optimizer's `defaults`.
        accumulation_steps: over how many batches gradients are averaged. Above 1 the graph has an input
            `svgd.update`, bool: whether this batch is the last of them, and parameters change.

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
    ) -> None:
        super().__init__()
        self.states: dict[str, list[int]] = {}
        self._parameters = list(parameters)
        self._optimizer = OPTIMIZERS[optimizer]
        self._hyper_parameters = hyper_parameters
        self._accumulation_steps = accumulation_steps

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
        place: dict[ir.Node | None, int] = {node: place for place, node in enumerate(graph)}
        # onnxruntime computes what stands last first: the gradients that the backward pass comes to first.
        for name in sorted(
            self._parameters,
            key=lambda name: place.get(outputs[gradient_name(name)].producer(), 0),
            reverse=True,
        ):
            parameter, gradient = inputs[name], outputs.pop(gradient_name(name))
            write = Writer(f"{name}/update", graph.opset_imports[""])
            state = partial(changes.state, parameter)
            if changes.update is not None:
                before = state("accumulated_gradient")
                gradient = changes.accumulate(write, before, gradient, self._accumulation_steps)
            step = Step(
                write, parameter, gradient, rate, self._hyper_parameters, state, changes.steps
            )
            new_parameter, new_states = self._optimizer.formula(step)
            for key, value in new_states.items():
                changes.new(write, state(key), value)
            changes.new(write, parameter, new_parameter)
            changes.flush(write)
        graph.outputs.clear()
        graph.outputs.extend([outputs.pop(LOSS_OUTPUT), *outputs.values(), *changes.outputs])
        return ir.passes.PassResult(model, modified=True)

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

    def state(self, parameter: ir.Value, name: str) -> ir.Value:
        """The parameter's state of that name, of its shape."""
        shape = [int(dim) for dim in parameter.shape or () if isinstance(dim, int)]
        return self._input(f"{parameter.name}.{name}", shape)

    def steps(self) -> ir.Value:
        """How many updates there have been, with this one; the same for all parameters."""
        if self._steps is None:
            write = Writer(STEPS, self.graph.opset_imports[""])
            before = self._input(STEPS, [])
            self._steps = write.node("Add", before, write.scalar(1))
            self.new(write, before, self._steps)
            self.flush(write)
        return self._steps

    def accumulate(
        self, write: Writer, before: ir.Value, gradient: ir.Value, batches: int
    ) -> ir.Value:
        """Adds the gradient's share of the mean over batches to what those before have come to."""
        share = write.node("Mul", gradient, write.scalar(1 / batches))
        total = write.node("Add", before, share)
        kept = write.node("Where", self.update, write.scalar(0), total)
        self._output(before, kept)
        return total

    def new(self, write: Writer, old: ir.Value, value: ir.Value) -> None:
        """Makes `value` what the input `old` is at the next step, if this batch is a step's last."""
        if self.update is not None:
            value = write.node("Where", self.update, value, old)
        self._output(old, value)

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

    def _output(self, old: ir.Value, value: ir.Value) -> None:
        value.name = f"{old.name}{NEW_SUFFIX}"
        value.type, value.shape = old.type, old.shape
        self.outputs.append(value)
