"""Put a loss on top of the model's prediction."""

from __future__ import annotations

import warnings
from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from svgd_onnx.errors import Advice, UserError, option
from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.transforms.losses.class_axis import classes_on_axis_1, find_class_axis
from svgd_onnx.transforms.losses.logits import final_activation, find_logits
from svgd_onnx.transforms.losses.loss import Loss
from svgd_onnx.transforms.writer import Writer

LOSS_OUTPUT = "svgd.loss"


class AddLoss(ir.passes.InPlacePass):
    """Adds the loss as the graph's first output, and its target, if it has one, as the last input.

    Where the prediction ends in an activation that the loss contains (Softmax for cross-entropy),
    the loss reads the logits underneath; the activation stays, for the model's own output. Where it ends
    in another one, a warning says so.

    Args:
        loss: which loss.
        prediction: name of the graph output to compare with the target.
        settings: of the loss.

    Requires: the prediction is an output.
    Ensures: the first output is the scalar float32 `svgd.loss`, the last input the target.
    After the call, `logits` names the value that the loss reads, and `class_axis` its axis of classes.
    """

    def __init__(self, loss: Loss, prediction: str, settings: LossSettings) -> None:
        super().__init__()
        self._loss = loss
        self._prediction = prediction
        self._settings = settings
        self.logits = ""
        self.class_axis: int | None = None

    def requires(self, model: ir.Model) -> None:
        if self._prediction not in {value.name for value in model.graph.outputs}:
            raise ir.passes.PreconditionError(f"'{self._prediction}' is not an output")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        graph = model.graph
        names = _names(graph)
        target = self._loss.target
        if target in names:
            outside = {value.name for value in (*graph.inputs, *graph.outputs)}
            kind = "an input or output" if target in outside else "a parameter or hidden value"
            raise UserError(
                f"The model already has {kind} named '{target}', the name that the loss needs: rename "
                "it in the export."
            )
        write = Writer(_free_prefix(names), graph.opset_imports[""])
        loss, compared = self._write(write, graph)
        loss.name, loss.dtype, loss.shape = LOSS_OUTPUT, ir.DataType.FLOAT, ir.Shape([])
        for constant in write.constants:
            graph.register_initializer(constant)
        graph.extend(write.nodes)
        graph.outputs.insert(0, loss)
        if compared is not None:
            graph.inputs.append(compared)
        return ir.passes.PassResult(model, modified=True)

    def _write(self, write: Writer, graph: ir.Graph) -> tuple[ir.Value, ir.Value | None]:
        """The loss, and its target."""
        output = next(value for value in graph.outputs if value.name == self._prediction)
        contained = frozenset() if self._settings.from_logits else self._loss.contains
        logits, softmax_axis = find_logits(write, output, contained)
        activation = final_activation(output)
        if contained and activation not in (None, *contained):
            warnings.warn(
                Advice(
                    f"The prediction '{output.name}' ends in {activation}, and the loss {self._loss.name} "
                    f"takes it for logits: choose another {option('loss')} if that is not meant."
                ),
                stacklevel=2,
            )
        if logits.shape is None:
            raise UserError(
                f"The shape of '{logits.name}', which the loss reads, cannot be inferred: export "
                "the model with shapes."
            )
        self.logits = logits.name or ""
        if self._loss.has_classes:
            name = self._loss.name
            self.class_axis = find_class_axis(logits, softmax_axis, self._settings, name)
            logits = classes_on_axis_1(write, logits, self.class_axis)
        target = _target(self._loss, logits)
        return self._loss.build(write, logits, target, self._settings), target

    def ensures(self, model: ir.Model) -> None:
        loss = model.graph.outputs[0]
        scalar = loss.shape is not None and not len(loss.shape)
        if loss.name != LOSS_OUTPUT or loss.dtype != ir.DataType.FLOAT or not scalar:
            raise ir.passes.PostconditionError("the first output is not the loss")
        if self._loss.target not in (None, model.graph.inputs[-1].name):
            raise ir.passes.PostconditionError("the last input is not the target")


def _target(loss: Loss, logits: ir.Value) -> ir.Value | None:
    if loss.target is None:
        return None
    dtype = ir.DataType.from_numpy(np.dtype(loss.target_dtype))
    return ir.val(loss.target, dtype, ir.Shape(loss.target_shape(list(logits.shape or ()))))


def _names(graph: ir.Graph) -> set[str]:
    """The names of all values."""
    names = {value.name or "" for value in (*graph.inputs, *graph.initializers.values())}
    for node in ir.traversal.RecursiveGraphIterator(graph):
        names.update(value.name or "" for value in node.outputs)
    return names


def _free_prefix(names: Collection[str]) -> str:
    """What no name begins with; nor is it one, for a rewritten node's name is a prefix too."""
    prefix = "loss"
    while any(name == prefix or name.startswith(f"{prefix}/") for name in names):
        prefix += "_"
    return prefix
