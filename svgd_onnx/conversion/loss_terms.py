"""The losses that a model is trained by: which outputs they compare, and what they become in its graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx_ir as ir

from svgd_onnx.conversion.loss_file import LossGraph
from svgd_onnx.conversion.model import choose_prediction
from svgd_onnx.conversion.options import TrainingSettings
from svgd_onnx.errors import of_output
from svgd_onnx.loss_settings import LossSettings
from svgd_onnx.step_names import LOSS, unquoted
from svgd_onnx.transforms.canonicalize.opset import OLDEST_OPSET
from svgd_onnx.transforms.losses import Loss, is_file, loss_named
from svgd_onnx.transforms.losses.add_loss import AddLoss
from svgd_onnx.transforms.losses.sum_losses import SumLosses


@dataclass(frozen=True)
class Compared:
    """A loss, and the output that it compares.

    Attributes:
        loss: which.
        prediction: the output, as the graph calls it.
        settings: of the loss, as they were given.
        weight: what it counts in the sum.
        output: the prediction as users call it, where they named it beside the loss; None where the loss is
            given alone.
    """

    loss: Loss
    prediction: str
    settings: LossSettings
    weight: float
    output: str | None


@dataclass(frozen=True)
class PlannedLoss(Compared):
    """A loss in the graph of a model.

    Attributes:
        logits: what it reads.
        logits_name: the name of that, which later passes may give to what takes its place.
        class_axis: its axis of classes, or None if it has none.
        class_axis_reason: why that was taken; empty where nothing else could be meant.
        label: what it compares them with, or None if the loss is the model's own.
    """

    logits: ir.Value
    logits_name: str
    class_axis: int | None
    class_axis_reason: str
    label: ir.Value | None

    @property
    def source(self) -> str | None:
        """SHA-256 of its file, if it is one."""
        return self.loss.source if isinstance(self.loss, LossGraph) else None


def loss_files(settings: TrainingSettings) -> list[Path]:
    """The files of losses."""
    return [Path(each.loss) for each in settings.losses.values() if is_file(str(each.loss))]


def oldest_opset(settings: TrainingSettings) -> int:
    """The opset that a model has to have at least, for the files of losses to be taken in."""
    return max([OLDEST_OPSET, *(LossGraph(file).opset for file in loss_files(settings))])


def compared_outputs(graph: ir.Graph, settings: TrainingSettings) -> list[Compared]:
    """Each loss with its output.

    Raises:
        UserError: there is no such output, none is named where there are several, or the file of a loss is
            none.
    """
    found = []
    for output, each in settings.losses.items():
        name = output if settings.of_several else None
        prediction = choose_prediction(graph, output, "loss" if name else "prediction")
        with of_output(name):
            given = str(each.loss)
            loss = LossGraph(Path(given)) if is_file(given) else loss_named(given)
        found.append(Compared(loss, prediction, each.settings, each.weight, name))
    return found


def add_losses(
    model: ir.Model, losses: Sequence[Compared], axes: dict[str, int | None]
) -> list[PlannedLoss]:
    """Puts losses on top of a model's predictions; the first output is what is trained by.

    Where there are several, each of them is one of the last outputs too. Labels are the last inputs.

    Args:
        model: in canonical form.
        losses: which.
        axes: the axis of examples of each output, to which those of labels are added.

    Raises:
        UserError: a loss does not take its prediction.
    """
    several = len(losses) > 1 or losses[0].weight != 1
    planned, weights = [], {}
    for each in losses:
        output = f"{LOSS}.{unquoted(each.prediction)}" if several else LOSS
        target = each.loss.target
        label = None if each.output is None or target is None else f"{each.output}_{target}"
        added = AddLoss(
            each.loss, each.prediction, each.settings, axes[each.prediction], output, label
        )
        with of_output(each.output):
            added(model)
        if added.target is not None:
            axes[added.target] = each.loss.target_axis(axes[each.prediction], added.class_axis)
        weights[output] = each.weight
        planned.append(
            PlannedLoss(
                **vars(each),
                logits=_value(model.graph, added.logits),
                logits_name=added.logits,
                class_axis=added.class_axis,
                class_axis_reason=added.class_axis_reason,
                label=None if added.target is None else model.graph.inputs[-1],
            )
        )
    if several:
        SumLosses(weights)(model)
    return planned


def in_graph(losses: Sequence[PlannedLoss], graph: ir.Graph) -> list[PlannedLoss]:
    """Losses whose logits are those of another graph, which has values of the same names."""
    return [replace(each, logits=_value(graph, each.logits_name)) for each in losses]


def _value(graph: ir.Graph, name: str) -> ir.Value:
    produced = (value for node in graph for value in node.outputs)
    return next(value for value in (*produced, *graph.inputs) if value.name == name)
