"""Give the gradient graph the form that onnxruntime's training session expects."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence

import onnx_ir as ir

from svgd_onnx.records import State
from svgd_onnx.step_names import LEARNING_RATE, UPDATE
from svgd_onnx.transforms.emit.gradient_checks import GradientChecks
from svgd_onnx.transforms.emit.update import (
    Group,
    KeptTensors,
    direction_of,
    gradients_of_step,
    groups_of,
)
from svgd_onnx.transforms.emit.update.groups import apart, joined, last_made_first
from svgd_onnx.transforms.losses.add_loss import LOSS_OUTPUT
from svgd_onnx.transforms.lower.portable_virtual_gradient import HIDDEN_OUTPUT_SUFFIX
from svgd_onnx.transforms.names import gradient_name
from svgd_onnx.transforms.optimizers.update import Update
from svgd_onnx.transforms.passes import require_outputs
from svgd_onnx.transforms.writer import Writer

LAZY_RESET = "lazy_reset_grad"


class AccumulateGradients(ir.passes.InPlacePass):
    """Adds each gradient to a buffer that the session owns, and that its optimizer reads.

    The names are those that onnxruntime's training API looks for: for a parameter w the input
    `w_grad.accumulation.buffer` and the output `w_grad.accumulation.out`, and one input
    `lazy_reset_grad` that says whether to overwrite the buffers instead. The session feeds the
    buffers, and hides the outputs.

    What the session's optimizers do not know comes before: the mean over several batches, a proximal term,
    clipping, and, where none of them is the update, directions, which are in the buffers then. Tensors that are
    kept for that lie in the checkpoint, are inputs, and are overwritten where they lie.

    Args:
        parameters: the trainable parameters, in the order of their checkpoint.
        update: what becomes of them. Above one batch a step the graph has an input `svgd.update`, float32:
            1 if this batch is the last of them, and else 0; with averages `svgd.learning_rate`.

    Requires: the loss and each gradient are graph outputs.
    Ensures: the first output is the loss; no gradient is an output any more; each has a buffer; a tensor is
        overwritten after all that read it.

    Attributes:
        states: the tensors that are kept from one step to the next.
    """

    def __init__(self, parameters: Sequence[str], update: Update) -> None:
        super().__init__()
        self.states: list[State] = []
        self._parameters = list(parameters)
        self._update = update
        self._directs = update.session_operator(parameters) is None

    def requires(self, model: ir.Model) -> None:
        require_outputs(model, [LOSS_OUTPUT, *map(gradient_name, self._parameters)])

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        kept = _InPlace(graph, self._update)
        given = self._given(graph, kept)
        outputs = {value.name: value for value in graph.outputs}
        gradients = [outputs.pop(gradient_name(name)) for name in self._parameters]
        reset = ir.val(LAZY_RESET, ir.DataType.BOOL, [1])
        kept_outputs = [outputs.pop(LOSS_OUTPUT), *outputs.values()]
        graph.outputs.clear()
        graph.outputs.extend(kept_outputs)
        buffers = {
            gradient: ir.val(
                f"{gradient.name}.accumulation.buffer", shape=gradient.shape, type=gradient.type
            )
            for gradient in gradients
        }
        graph.inputs.extend(buffers.values())
        # the norm of all gradients keeps them anyway, and the loss reads it
        keeps = self._update.clip_norm is not None
        resets = dict.fromkeys(gradients, reset) if keeps else _resets(graph, gradients, reset)
        done = {}
        for gradient in last_made_first(graph, gradients):
            value = given.get(gradient, gradient)
            name, buffer = str(gradient.name), buffers[gradient]
            done[gradient] = _accumulated(graph, name, buffer, value, resets[gradient])
        graph.outputs.extend(done[gradient] for gradient in gradients)
        kept.overwrite(done)
        graph.inputs.append(reset)
        self.states = kept.states
        return ir.passes.PassResult(model, modified=True)

    def _given(self, graph: ir.Graph, kept: _InPlace) -> dict[ir.Value, ir.Value]:
        """What comes into buffers in place of gradients."""
        update = self._update
        if not (update.accumulation_steps > 1 or update.changes_gradients or self._directs):
            return {}
        if update.accumulation_steps > 1:
            kept.is_last = _is_last(graph, kept)
        given: dict[ir.Value, ir.Value] = {}
        groups = groups_of(graph, self._parameters, update)
        for group, gradient in gradients_of_step(graph, groups, update, kept):
            write = kept.writer(f"{group.prefix}/update")
            value = self._direction(write, group, gradient, kept) if self._directs else gradient
            given.update(zip(group.gradients, apart(write, value, group.gradients)))
            write.append_to(graph)
            kept.end_of(group)
        return given

    def _direction(
        self, write: Writer, group: Group, gradient: ir.Value, kept: KeptTensors
    ) -> ir.Value:
        """What plain descent takes for gradients."""
        parameter = joined(write, group.parameters)
        direction = direction_of(write, group, parameter, gradient, self._update, kept)
        if group.rate != 1:
            direction = write.node("Mul", direction, write.scalar(group.rate))
        if self._update.average is not None:
            rate = kept.input(LEARNING_RATE, [], "learning_rate")
            new = write.node("Sub", parameter, write.node("Mul", rate, direction))
            kept.averaged(write, group.parameters, new)
        return direction

    def ensures(self, model: ir.Model) -> None:
        graph = model.graph
        if graph.outputs[0].name != LOSS_OUTPUT:
            raise ir.passes.PostconditionError("the first output is not the loss")
        inputs = {value.name: value for value in graph.inputs}
        outputs = {value.name for value in graph.outputs}
        for gradient in map(gradient_name, self._parameters):
            if gradient in outputs:
                raise ir.passes.PostconditionError(f"'{gradient}' is still an output")
            if f"{gradient}.accumulation.buffer" not in inputs:
                raise ir.passes.PostconditionError(f"'{gradient}' has no buffer")
        for state in self.states:
            readers = {node for node, _ in inputs[state.name].uses()}
            for node in readers:
                if node.op_type == _OVERWRITE and not _reads_from(node, readers - {node}):
                    raise ir.passes.PostconditionError(f"'{state.name}' changes before it is read")


_OVERWRITE = "InPlaceAccumulatorV2"


class _InPlace(KeptTensors):
    """Tensors are overwritten where they lie, behind all of their group that reads them."""

    def __init__(self, graph: ir.Graph, update: Update) -> None:
        super().__init__(graph, update)
        self._changes: list[tuple[ir.Value, ir.Value]] = []
        self._changes_of: list[tuple[Group, list[tuple[ir.Value, ir.Value]]]] = []

    def becomes(self, before: ir.Value, after: ir.Value) -> None:
        self._changes.append((before, after))

    def end_of(self, group: Group) -> None:
        """Says that all changes since the last group are of this one."""
        self._changes_of.append((group, self._changes))
        self._changes = []

    def overwrite(self, done: dict[ir.Value, ir.Value]) -> None:
        """Writes the changes, each behind the node that has put what its group makes into the buffer.

        Args:
            done: what that node gives, true, by the gradient.
        """
        for group, changes in self._changes_of:
            for before, after in changes:
                name = f"svgd.kept.{before.name}_grad"  # that of no parameter's buffer
                written = _accumulated(self._graph, name, before, after, done[group.gradients[0]])
                self._graph.outputs.append(written)


def _resets(
    graph: ir.Graph, gradients: Sequence[ir.Value], reset: ir.Value
) -> dict[ir.Value, ir.Value]:
    """Whether buffers are overwritten, for each gradient: for large ones it waits for what looks at them."""
    checks, found = GradientChecks(graph), {}
    for gradient in gradients:
        write = Writer(f"{gradient.name}/check", graph.opset_imports[""])
        zero = write.scalar(0)
        number = checks.guarded(write, zero, gradient)
        found[gradient] = reset
        if number is not zero:
            found[gradient] = write.node("Or", reset, write.node("IsNaN", number))
            write.append_to(graph)
    checks.finish(graph)
    return found


def _is_last(graph: ir.Graph, kept: KeptTensors) -> ir.Value:
    """Whether parameters change after this batch, as the session is told before it."""
    write = kept.writer(UPDATE)
    is_last = write.node("Greater", kept.input(UPDATE, [], "update"), write.scalar(0.5))
    write.append_to(graph)
    return is_last


def _accumulated(
    graph: ir.Graph, name: str, buffer: ir.Value, value: ir.Value, overwrite: ir.Value
) -> ir.Value:
    """Adds a value to a buffer, or puts it there; gives a flag, for an output that the session hides."""
    node = ir.node(
        _OVERWRITE,
        [buffer, value, overwrite],
        domain="com.microsoft",
        name=f"{name}/accumulate",
    )
    done = node.outputs[0]
    done.name = f"{name.removesuffix('_grad')}{HIDDEN_OUTPUT_SUFFIX}"
    done.dtype, done.shape = ir.DataType.BOOL, ir.Shape([1])
    graph.append(node)
    return done


def _reads_from(node: ir.Node, others: Collection[ir.Node]) -> bool:
    """Whether a node reads from all of some others, or from what does; the nearest are looked at first."""
    missing, seen = set(others), {node}
    pending = deque(seen)
    while missing and pending:
        for value in pending.popleft().inputs:
            producer = None if value is None else value.producer()
            if producer is not None and producer not in seen:
                seen.add(producer)
                pending.append(producer)
                missing.discard(producer)
    return not missing
