"""Put a loss on top of the model's prediction."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from svgd_onnx.errors import Advice, UserError, option
from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.step_names import LOSS, beside, unquoted
from svgd_onnx.transforms.bodies import all_nodes
from svgd_onnx.transforms.losses.class_axis import as_rows, classes_on_axis_1, find_class_axis
from svgd_onnx.transforms.losses.logits import final_activation, find_logits
from svgd_onnx.transforms.losses.loss import Loss
from svgd_onnx.transforms.losses.loss_of_classes import CHECKED_LABELS
from svgd_onnx.transforms.names import LABEL
from svgd_onnx.transforms.writer import Writer

LOSS_OUTPUT = LOSS


class AddLoss(ir.passes.InPlacePass):
    """Adds the loss as the graph's first output, and its target, if it has one, as the last input.

    Where the prediction ends in an activation that the loss contains (Softmax for cross-entropy),
    the loss reads the logits underneath; the activation stays, for the model's own output. Where it ends
    in another one, a warning says so.

    Args:
        loss: which loss.
        prediction: name of the graph output to compare with the target.
        settings: of the loss.
        batch_axis: the prediction's axis of examples; None if it has none.
        output: what the loss is called.
        label: what the target is called; None for the loss's name of it.

    Requires: the prediction is an output.
    Ensures: the first output is the scalar float32 loss, the last input the target.
    After the call, `logits` names the value that the loss reads, `class_axis` its axis of classes,
    `class_axis_reason` why that was taken, and `target` the target, which gives way to a tensor of the
    model's own of the loss's name for it.
    """

    def __init__(
        self,
        loss: Loss,
        prediction: str,
        settings: LossSettings,
        batch_axis: int | None = 0,
        output: str = LOSS_OUTPUT,
        label: str | None = None,
    ) -> None:
        super().__init__()
        self._output, self._label = output, label or loss.target
        self._batch_axis = batch_axis
        self._loss = loss
        self._prediction = prediction
        self._settings = settings
        self.logits = ""
        self.class_axis: int | None = None
        self.class_axis_reason = ""
        self.target: str | None = None

    def requires(self, model: ir.Model) -> None:
        if self._prediction not in {value.name for value in model.graph.outputs}:
            raise ir.passes.PreconditionError(f"'{self._prediction}' is not an output")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        write = Writer(_free_prefix(_names(graph)), graph.opset_imports[""])
        loss, compared = self._write(write, graph)
        loss.name, loss.dtype, loss.shape = self._output, ir.DataType.FLOAT, ir.Shape([])
        _name_place_of_label(write.nodes, len(graph.inputs))
        for constant in write.constants:
            graph.register_initializer(constant)
        graph.extend(write.nodes)
        graph.outputs.insert(0, loss)
        if compared is not None:
            compared.meta[LABEL] = True
            graph.inputs.append(compared)
        return ir.passes.PassResult(model, modified=True)

    def _write(self, write: Writer, graph: ir.Graph) -> tuple[ir.Value, ir.Value | None]:
        """The loss, and its target."""
        output = next(value for value in graph.outputs if value.name == self._prediction)
        _check_type(output)
        contained = frozenset() if self._settings.from_logits else self._loss.contains
        logits, softmax_axis = find_logits(write, output, contained)
        activation = final_activation(output)
        if contained and activation not in (None, *contained):
            warnings.warn(
                Advice(
                    f"The prediction '{unquoted(output.name or '')}' ends in {activation}, and the loss "
                    f"{self._loss.name} takes it for logits: choose another {option('loss')} if that is not "
                    "meant."
                ),
                stacklevel=2,
            )
        if logits.shape is None:
            raise UserError(
                f"The shape of '{logits.name}', which the loss reads, cannot be inferred: export "
                "the model with shapes."
            )
        self.logits = logits.name or ""
        settings = self._settings
        if self._loss.compares_examples and self._batch_axis != 0:
            raise UserError(
                f"The loss {self._loss.name} compares examples along axis 0 of the prediction "
                f"'{unquoted(output.name or '')}', which does not have them there: choose another "
                f"{option('loss')}, or say with {option('batch_axis')} where examples lie."
            )
        if self._loss.has_classes:
            axis = self.class_axis = self._find_class_axis(logits, softmax_axis)
            settings = replace(settings, class_axis=axis)
            if not self._loss.target_has_classes:
                rows = as_rows(write, logits, axis)
                if rows is not None:
                    return self._write_by_rows(write, graph, logits, rows)
                logits = classes_on_axis_1(write, logits, axis)
        target = self._target(list(logits.shape or ()), graph)
        return self._loss.build(write, logits, target, settings), target

    def _find_class_axis(self, logits: ir.Value, softmax_axis: int | None) -> int:
        found = find_class_axis(logits, softmax_axis, self._settings, self._loss.name)
        axis, self.class_axis_reason = found
        if axis == self._batch_axis:
            raise UserError(
                f"Axis {axis} of the logits '{logits.name}' has the examples, so that it cannot have the "
                f"classes: say with {option('class_axis')} which one has."
            )
        return axis

    def _write_by_rows(
        self, write: Writer, graph: ir.Graph, logits: ir.Value, rows: ir.Value
    ) -> tuple[ir.Value, ir.Value]:
        """The loss of logits that have their classes on the last of several axes, and its target."""
        assert logits.shape is not None and rows.shape is not None
        first, *others, classes = list(logits.shape)
        target = self._target([first, classes, *others], graph)
        assert target is not None
        labels = write.node("Reshape", target, write.integers(-1))
        labels.shape, labels.type = ir.Shape([rows.shape[0]]), target.type
        return self._loss.build(write, rows, labels, self._settings), target

    def _target(self, logits: Sequence[int | ir.SymbolicDim], graph: ir.Graph) -> ir.Value | None:
        """The input for what logits of a shape, their classes on axis 1, are compared with."""
        if self._label is None:
            return None
        own = _own_names(graph)
        dtype = ir.DataType.from_numpy(np.dtype(self._loss.target_dtype))
        self.target = self._label if self._label not in own else beside(f"svgd.{self._label}", own)
        return ir.val(self.target, dtype, ir.Shape(self._loss.target_shape(logits)))

    def ensures(self, model: ir.Model) -> None:
        loss = model.graph.outputs[0]
        scalar = loss.shape is not None and not len(loss.shape)
        if loss.name != self._output or loss.dtype != ir.DataType.FLOAT or not scalar:
            raise ir.passes.PostconditionError("the first output is not the loss")
        if self.target is not None and self.target != model.graph.inputs[-1].name:
            raise ir.passes.PostconditionError("the last input is not the target")


def _check_type(output: ir.Value) -> None:
    """Refuses a prediction that is no floating-point number."""
    if output.dtype is None or output.dtype.is_floating_point():
        return
    node = output.producer()
    given = "" if node is None else f", which {node.op_type} '{node.name}' gives"
    raise UserError(
        f"The prediction '{output.name}'{given}, is of type {str(output.dtype).lower()}, and has no gradient: "
        f"name with {option('prediction')} an output of floating-point numbers, or export the model without "
        "what makes them whole."
    )


def _own_names(graph: ir.Graph) -> set[str]:
    """What the model's inputs, outputs and initializers are called."""
    values = (*graph.inputs, *graph.outputs, *graph.initializers.values())
    return {unquoted(value.name or "") for value in values}


def _name_place_of_label(nodes: Iterable[ir.Node], place: int) -> None:
    """Says in the name of a node that looks at labels which input they are, as `CheckIndices` does."""
    for node in nodes:
        node.name = (node.name or "").replace(f"/{CHECKED_LABELS}/", f"/checked of {place}/")


def _names(graph: ir.Graph) -> set[str]:
    """The names of all values."""
    names = {value.name or "" for value in (*graph.inputs, *graph.initializers.values())}
    for node in all_nodes(graph):
        names.update(value.name or "" for value in node.outputs)
    return names


def _free_prefix(names: Collection[str]) -> str:
    """What no name begins with; nor is it one, for a rewritten node's name is a prefix too."""
    prefix = "loss"
    while any(name == prefix or name.startswith(f"{prefix}/") for name in names):
        prefix += "_"
    return prefix
