"""The optimizer as standard operators, in the graph that computes the gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from svgd_onnx.step_names import LEARNING_RATE, NEW_SUFFIX, STEPS, UPDATE
from svgd_onnx.transforms.differentiate.gradient_graph import gradient_name
from svgd_onnx.transforms.losses.add_loss import LOSS_OUTPUT
from svgd_onnx.transforms.writer import Writer


class ParameterUpdate(ir.passes.InPlacePass):
    """Replaces the gradients among the graph's outputs by the parameters after a step.

    Args:
        parameters: the trainable parameters.
        rule: a key of `OPTIMIZERS`; its formulas stand there.
        hyper_parameters: of the rule.
        accumulation_steps: over how many batches gradients are averaged. Above 1 the graph has an input
            `svgd.update`, bool: whether this batch is the last of them, and parameters change.

    Requires: each parameter is an input and its gradient an output.
    Ensures: the loss is the first output, and no gradient is one; there is an input
        `svgd.learning_rate`, float32 scalar; for each parameter and each tensor of `states` there is an
        input, and an output of its name with `NEW_SUFFIX`.

    Attributes:
        states: shapes of the tensors that the rule keeps from one step to the next, by name. They
            start at zero.
    """

    def __init__(
        self,
        parameters: Sequence[str],
        rule: str,
        hyper_parameters: Mapping[str, float],
        accumulation_steps: int = 1,
    ) -> None:
        super().__init__()
        self.states: dict[str, list[int]] = {}
        self._parameters = list(parameters)
        self._rule = _RULES[rule]
        self._hyper_parameters = hyper_parameters
        self._accumulation_steps = accumulation_steps

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        inputs = {value.name: value for value in graph.inputs}
        outputs = {value.name: value for value in graph.outputs}
        opset = graph.opset_imports[""]
        rate = ir.val(LEARNING_RATE, ir.DataType.FLOAT, [])
        graph.inputs.append(rate)
        step = _Step(graph, opset, rate, self._hyper_parameters, self.states)
        if self._accumulation_steps > 1:
            step.update = ir.val(UPDATE, ir.DataType.BOOL, [])
            graph.inputs.append(step.update)
        for name in self._parameters:
            gradient = outputs.pop(gradient_name(name))
            step.write = Writer(f"{name}/update", opset)
            step.parameter = inputs[name]
            if self._accumulation_steps > 1:
                gradient = step.accumulate(gradient, self._accumulation_steps)
            step.new(step.parameter, self._rule(step, gradient))
            step.flush()
        graph.outputs.clear()
        graph.outputs.extend([outputs.pop(LOSS_OUTPUT), *outputs.values(), *step.outputs])
        return ir.passes.PassResult(model, modified=True)

    def ensures(self, model: ir.Model) -> None:
        outputs = {value.name for value in model.graph.outputs}
        if any(gradient_name(name) in outputs for name in self._parameters):
            raise ir.passes.PostconditionError("a gradient is still an output")


@dataclass
class _Step:
    """The update of one parameter after another."""

    graph: ir.Graph
    opset: int
    rate: ir.Value
    hyper_parameters: Mapping[str, float]
    states: dict[str, list[int]]
    update: ir.Value | None = None
    outputs: list[ir.Value] = field(default_factory=list)
    write: Writer = field(init=False)
    parameter: ir.Value = field(init=False)
    _inputs: dict[str, ir.Value] = field(default_factory=dict)
    _steps: ir.Value | None = None

    def number(self, name: str) -> ir.Value:
        """A hyper-parameter."""
        return self.write.scalar(self.hyper_parameters[name])

    def rest(self, name: str) -> ir.Value:
        """1 - a hyper-parameter."""
        return self.write.scalar(1 - self.hyper_parameters[name])

    def state(self, name: str) -> ir.Value:
        """The parameter's state of that name, of its shape."""
        shape = [int(dim) for dim in self.parameter.shape or () if isinstance(dim, int)]
        return self._state(f"{self.parameter.name}.{name}", shape)

    def new(self, old: ir.Value, value: ir.Value, *, always: bool = False) -> None:
        """Makes `value` what the input `old` is at the next step."""
        if self.update is not None and not always:
            value = self.write.node("Where", self.update, value, old)
        value.name = f"{old.name}{NEW_SUFFIX}"
        value.type, value.shape = old.type, old.shape
        self.outputs.append(value)

    def accumulate(self, gradient: ir.Value, batches: int) -> ir.Value:
        """Adds the gradient to those of the batches before."""
        assert self.update is not None
        before = self.state("accumulated_gradient")
        share = self.write.node("Mul", gradient, self.write.scalar(1 / batches))
        total = self.write.node("Add", before, share)
        kept = self.write.node("Where", self.update, self.write.scalar(0), total)
        self.new(before, kept, always=True)
        return total

    def steps(self) -> ir.Value:
        """How many updates there have been, with this one; the same for all parameters."""
        if self._steps is None:
            own, self.write = self.write, Writer(STEPS, self.opset)
            before = self._state(STEPS, [])
            self._steps = self.write.node("Add", before, self.write.scalar(1))
            self.new(before, self._steps)
            self.flush()
            self.write = own
        return self._steps

    def flush(self) -> None:
        """Puts what was written into the graph."""
        for constant in self.write.constants:
            self.graph.register_initializer(constant)
        self.graph.extend(self.write.nodes)

    def _state(self, name: str, shape: list[int]) -> ir.Value:
        self.states[name] = shape
        value = ir.val(name, ir.DataType.FLOAT, shape)
        self.graph.inputs.append(value)
        return value


def _descent(step: _Step, direction: ir.Value) -> ir.Value:
    return step.write.node("Sub", step.parameter, step.write.node("Mul", step.rate, direction))


def _moving(step: _Step, decay: str, old: ir.Value, new: ir.Value) -> ir.Value:
    """decay old + (1 - decay) new"""
    write = step.write
    return write.node(
        "Add",
        write.node("Mul", old, step.number(decay)),
        write.node("Mul", new, step.rest(decay)),
    )


def _sgd(step: _Step, gradient: ir.Value) -> ir.Value:
    return _descent(step, gradient)


def _momentum(step: _Step, gradient: ir.Value) -> ir.Value:
    old = step.state("momentum")
    kept = step.write.node("Mul", old, step.number("momentum"))
    new = step.write.node("Add", kept, gradient)
    result = _descent(step, new)
    step.new(old, new)
    return result


def _rmsprop(step: _Step, gradient: ir.Value) -> ir.Value:
    write = step.write
    old = step.state("mean_square")
    new = _moving(step, "decay", old, write.node("Mul", gradient, gradient))
    root = write.node("Add", write.node("Sqrt", new), step.number("stability"))
    result = _descent(step, write.node("Div", gradient, root))
    step.new(old, new)
    return result


def _adamw(step: _Step, gradient: ir.Value) -> ir.Value:
    steps = step.steps()
    write = step.write
    old_first, old_second = step.state("first_moment"), step.state("second_moment")
    first = _moving(step, "beta_1", old_first, gradient)
    second = _moving(step, "beta_2", old_second, write.node("Mul", gradient, gradient))

    def correction(name: str) -> ir.Value:
        power = write.node("Pow", step.number(name), steps)
        return write.node("Sub", write.constant(np.array(1, np.float32)), power)

    root = write.node("Sqrt", write.node("Div", second, correction("beta_2")))
    root = write.node("Add", root, step.number("stability"))
    direction = write.node("Div", write.node("Div", first, correction("beta_1")), root)
    decay = write.node("Mul", step.parameter, step.number("weight_decay"))
    result = _descent(step, write.node("Add", direction, decay))
    step.new(old_first, first)
    step.new(old_second, second)
    return result


_RULES: dict[str, Callable[[_Step, ir.Value], ir.Value]] = {
    "sgd": _sgd,
    "momentum": _momentum,
    "rmsprop": _rmsprop,
    "adamw": _adamw,
}
