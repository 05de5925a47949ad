"""The optimizer as standard operators, in the graph that computes the gradients."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from svgd_onnx.records import ANCHOR, State
from svgd_onnx.step_names import LEARNING_RATE, NEW_SUFFIX, UPDATE
from svgd_onnx.transforms.emit.gradient_checks import GradientChecks, is_large
from svgd_onnx.transforms.emit.standard_onnx.adaptive_descent import (
    ADAPTIVE_RULES,
    adaptive_descent,
)
from svgd_onnx.transforms.emit.standard_onnx.descent_of_rows import descent_of_rows, rows_of
from svgd_onnx.transforms.emit.update import (
    Group,
    KeptTensors,
    direction_of,
    gradients_of_step,
    groups_of,
)
from svgd_onnx.transforms.emit.update.groups import joined
from svgd_onnx.transforms.fast_operators import DESCENT
from svgd_onnx.transforms.losses.add_loss import LOSS_OUTPUT
from svgd_onnx.transforms.names import gradient_name
from svgd_onnx.transforms.optimizers.update import Update
from svgd_onnx.transforms.virtualize import DOMAIN
from svgd_onnx.transforms.writer import Writer


class ParameterUpdate(ir.passes.InPlacePass):
    """Replaces the gradients among the graph's outputs by the parameters after a step.

    Args:
        parameters: the trainable parameters.
        update: what becomes of them. Above one batch a step the graph has an input `svgd.update`, bool:
            whether this batch is the last of them, and parameters change.
        fast: whether operators of ours may be used.
        in_place: whether large parameters wait for the loss, to be written over where they lie
            (`overwritten`): with `fast`.
        when: whether parameters change, bool, where one batch is a step; None if they always do.

    Requires: each parameter is an input and its gradient an output; so is the loss.
    Ensures: the loss is the first output, and no gradient is one; there is an input
        `svgd.learning_rate`, float32 scalar; for each parameter and each tensor of `states` there is an
        input, and, but for anchors, an output of its name with `NEW_SUFFIX`; each state of the optimizer is in
        `states`.

    Attributes:
        states: the tensors that are kept from one step to the next.
    """

    def __init__(
        self,
        parameters: Sequence[str],
        update: Update,
        fast: bool = False,
        in_place: bool = False,
        when: ir.Value | None = None,
    ) -> None:
        super().__init__()
        self.states: list[State] = []
        self._parameters = list(parameters)
        self._update = update
        self._fast = fast
        self._in_place = fast and in_place
        self._when = when

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
        rate = ir.val(LEARNING_RATE, ir.DataType.FLOAT, [])
        graph.inputs.append(rate)
        kept = _Outputs(graph, self._update)
        kept.is_last, kept.leaves_out = self._when, self._when is not None
        if self._update.accumulation_steps > 1:
            kept.is_last = ir.val(UPDATE, ir.DataType.BOOL, [])
            graph.inputs.append(kept.is_last)
        groups = groups_of(graph, self._parameters, self._update)
        # where something else keeps the gradients, they are looked at in the end
        keeps = self._when is not None or self._update.clip_norm is not None
        checks = None if keeps else GradientChecks(graph)
        waiting = []
        for group, gradient in gradients_of_step(graph, groups, self._update, kept):
            if self._in_place and kept.is_last is None and _is_of_one(group):
                rows = self._rows_of(group, gradient)
                waiting.append((group, gradient, rows))
                if checks is not None:
                    write = kept.writer(f"{group.prefix}/check")
                    checks.look(write, graph, group.gradients[0], None if rows is None else rows[1])
            else:
                self._write_group(graph, group, gradient, rate, kept, checks)
        if checks is not None:
            checks.finish(graph)
        loss = next(value for value in graph.outputs if value.name == LOSS_OUTPUT)
        for group, gradient, rows in waiting:
            self._write_group(graph, group, gradient, rate, kept, None, loss, rows)
        gradients = {gradient for group in groups for gradient in group.gradients}
        outputs = [value for value in graph.outputs if value not in gradients]
        outputs.sort(key=lambda value: value.name != LOSS_OUTPUT)
        graph.outputs.clear()
        graph.outputs.extend([*outputs, *kept.outputs])
        self.states = kept.states
        return ir.passes.PassResult(model, modified=True)

    def _write_group(
        self,
        graph: ir.Graph,
        group: Group,
        gradient: ir.Value,
        rate: ir.Value,
        kept: KeptTensors,
        checks: GradientChecks | None,
        guard: ir.Value | None = None,
        rows: tuple[ir.Value, ir.Value] | None = None,
    ) -> None:
        """What parameters become, their states and their averages.

        Args:
            graph: where to.
            group: the parameters.
            gradient: theirs, as one tensor.
            rate: as of the step.
            kept: the states.
            checks: of gradients that are used before the loss is known.
            guard: what has to be finite, else nothing changes.
            rows: what the gradient is a sum of, of an embedding.
        """
        update = self._update
        write = kept.writer(f"{group.prefix}/update")
        parameter = joined(write, group.parameters)
        if group.rate != 1:
            rate = write.node("Mul", rate, write.scalar(group.rate))
        looks = self._fast and looks_at_gradients(update, group.weight_decay)
        if checks is not None and not looks:
            for each in group.gradients:
                rate = checks.guarded(write, rate, each)
        size: ir.Value | None = None
        if rows is not None and guard is not None:
            new = descent_of_rows(write, parameter, rate, rows, guard)
        elif self._fast and update.rule in ADAPTIVE_RULES:
            given = [parameter, rate, gradient]
            new, size = adaptive_descent(write, group, given, update, kept, guard)
        else:
            direction = direction_of(write, group, parameter, gradient, update, kept)
            new, size = self._descent(write, parameter, rate, direction, guard)
        if checks is not None and size is not None:
            # All of them: the loss is the first that onnxruntime computes, with what leads to it, and a
            # descent that is no part of that would wait for the end, with its gradient.
            checks.tell(size, group.gradients if looks else ())
        kept.averaged(write, group.parameters, new)
        kept.new(write, group.parameters, new)
        write.append_to(graph)

    def _rows_of(self, group: Group, gradient: ir.Value) -> tuple[ir.Value, ir.Value] | None:
        """What a gradient is a sum of, if it is that which parameters move by."""
        plain = self._update.rule == "sgd" and not group.weight_decay
        return rows_of(gradient) if plain and gradient is group.gradients[0] else None

    def _descent(
        self,
        write: Writer,
        parameter: ir.Value,
        rate: ir.Value,
        direction: ir.Value,
        guard: ir.Value | None,
    ) -> tuple[ir.Value, ir.Value | None]:
        """parameter - rate * direction, and by an operator of ours the size of the direction."""
        if not self._fast:
            return write.node("Sub", parameter, write.node("Mul", rate, direction)), None
        inputs = [parameter, rate, direction]
        if guard is not None:
            inputs.append(guard)
            return write.nodes_with(DESCENT, inputs, {}, 1, DOMAIN)[0], None
        new, size = write.nodes_with(DESCENT, inputs, {}, 2, DOMAIN)
        return new, size

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
        changing = [state.name for state in self.states if state.state != ANCHOR]
        for name in (*self._parameters, *changing):
            if name not in inputs or f"{name}{NEW_SUFFIX}" not in outputs:
                raise ir.passes.PostconditionError(f"'{name}' does not change")
        kept = {(state.parameter, state.state) for state in self.states}
        for name in self._parameters:
            shape = [size for size in inputs[name].shape or () if isinstance(size, int)]
            if any((name, state) not in kept for state in self._update.optimizer.state(shape)):
                raise ir.passes.PostconditionError(f"a state of '{name}' is missing")


def looks_at_gradients(update: Update, weight_decay: float = 0) -> bool:
    """Whether operators of ours that update parameters say whether their gradients are finite."""
    plain = update.rule == "sgd" and not weight_decay
    return update.is_of_gradients and (plain or update.rule in ADAPTIVE_RULES)


def _is_of_one(group: Group) -> bool:
    """Whether a group is one large parameter."""
    return len(group.parameters) == 1 and is_large(group.parameters[0])


class _Outputs(KeptTensors):
    """What tensors become is an output of the graph, by their name and `NEW_SUFFIX`.

    Attributes:
        outputs: these.
    """

    def __init__(self, graph: ir.Graph, update: Update) -> None:
        super().__init__(graph, update)
        self.outputs: list[ir.Value] = []

    def becomes(self, before: ir.Value, after: ir.Value) -> None:
        after.name = f"{before.name}{NEW_SUFFIX}"
        after.type, after.shape = before.type, before.shape
        self.outputs.append(after)
