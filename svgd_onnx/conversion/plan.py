"""What differentiation starts from: the forward graph and its parameters."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import onnx_ir as ir

from svgd_onnx.conversion.batch_axes import BatchAxes, find_batch_axes
from svgd_onnx.conversion.exported_adapters import export_forms, merging_of
from svgd_onnx.conversion.finetuning import Finetuning, finetune, finetuning_of
from svgd_onnx.conversion.fixed_batch import open_batch
from svgd_onnx.conversion.loss_terms import (
    PlannedLoss,
    add_losses,
    compared_outputs,
    in_graph,
    oldest_opset,
)
from svgd_onnx.conversion.model import beside_as_read, files_of, load_model
from svgd_onnx.conversion.options import TrainingSettings
from svgd_onnx.errors import Advice, UserError, listed, option
from svgd_onnx.files import PathLike, UnchangedFiles
from svgd_onnx.step_names import unquoted
from svgd_onnx.transforms.canonicalize import EmbedConstants, canonicalize, source_form
from svgd_onnx.transforms.check_indices import CheckIndices
from svgd_onnx.transforms.differentiate import KeepOnlyLoss, ParametersAsInputs, training_form
from svgd_onnx.transforms.draws import DrawByDropout
from svgd_onnx.transforms.emit import ExportedModel
from svgd_onnx.transforms.finetune import reset_parameters
from svgd_onnx.transforms.losses.loss_dependence import independent_of_loss
from svgd_onnx.transforms.lower import LowerFakeQuantize
from svgd_onnx.transforms.parameters import Selection, select_parameters


@dataclass(frozen=True)
class TrainingPlan:
    """What differentiation starts from.

    Attributes:
        canonical: the model as it came, in canonical form.
        selection: its parameters.
        forward: training mode, loss, parameters as inputs, one for each use of a trainable one.
        evaluation: inference mode, loss, parameters as inputs.
        copies: trainable parameter -> the inputs that stand for it in `forward`.
        losses: what is compared how; their logits are those of `forward`.
        exported: the model that trained parameters are put into.
        batch_axes: the axis of examples of each input, output and label, by name.
        files: that the model was read from, itself first; none if it was in memory.
        beside: those of them that hold tensors, which may not be read yet.
        finetuning: what was changed of the model as it came: a new head, low-rank adapters.
        anew: parameters that do not begin with what the model as it came has.
        merging: the weight of each -> when export adds it to that, as svgd.json says it.
        merged: as `exported`, where quantized weights take their adapters in; None if there are none.
    """

    canonical: ir.Model
    selection: Selection
    forward: ir.Model
    evaluation: ir.Model
    copies: Mapping[str, Sequence[str]]
    losses: Sequence[PlannedLoss]
    exported: ExportedModel
    batch_axes: BatchAxes
    files: Sequence[Path]
    beside: UnchangedFiles = field(default_factory=UnchangedFiles)
    finetuning: Finetuning = field(default_factory=Finetuning)
    anew: Sequence[str] = ()
    merging: Mapping[str, str] = field(default_factory=dict)
    merged: ExportedModel | None = None

    @property
    def inputs(self) -> list[str]:
        """The names of the model's own inputs."""
        return [value.name or "" for value in self.canonical.graph.inputs]

    @property
    def labels(self) -> list[ir.Value]:
        """What the losses compare predictions with."""
        return [each.label for each in self.losses if each.label is not None]

    @property
    def predictions(self) -> list[str]:
        """The names of the outputs that losses compare."""
        return [each.prediction for each in self.losses]

    @property
    def own_names(self) -> list[str]:
        """The names of the model's inputs, outputs and parameters, as the graphs have them."""
        return own_names(self.canonical.graph, self.selection)

    @property
    def values(self) -> dict[str, ir.TensorProtocol]:
        """The initial value of each tensor of the checkpoint, trainable ones first."""
        return {name: initial_value(self.canonical.graph, name) for name in self.selection.all}


def plan_training(
    model: PathLike | onnx.ModelProto,
    settings: TrainingSettings,
    *,
    external_data: PathLike | None = None,
    dropout: bool = True,
) -> TrainingPlan:
    """Reads a model and prepares it for differentiation.

    Args:
        model: an ONNX file, or the model itself.
        settings: what is trained.
        external_data: the folder of the files that a model in memory names.
        dropout: whether Dropout drops, and random numbers are drawn by it.

    Raises:
        UserError: the model cannot be read, or the loss depends on nothing that is to be trained.

    Warns:
        of parameters that the loss does not depend on, which stay as they are, as PyTorch leaves them.
    """
    source, canonical = read_model(model, settings, external_data)
    return plan_of(source, canonical, settings, dropout=dropout)


def read_model(
    model: PathLike | onnx.ModelProto,
    settings: TrainingSettings,
    external_data: PathLike | None = None,
) -> tuple[ir.Model, ir.Model]:
    """A model as it came, in `source_form`, and in canonical form.

    Raises:
        UserError: it cannot be read, or brought to that form.
    """
    source = source_form(load_model(model, external_data))
    finetuning = finetune(source, settings)
    oldest = oldest_opset(settings)
    canonical = canonicalize(
        finetuning.adapted(source), settings.train, settings.size, settings.quantized, oldest
    )
    finetuning.complete(source, canonical)
    if not settings.fixed_batch:
        open_batch(source, canonical, settings.losses, settings.batch_axis)
    return source, canonical


def plan_of(
    source: ir.Model, canonical: ir.Model, settings: TrainingSettings, *, dropout: bool = True
) -> TrainingPlan:
    """As `plan_training`, of a model that has been read; neither form is to be used afterwards."""
    losses = compared_outputs(canonical.graph, settings)
    selection = select(source, canonical, settings)
    anew = reset_parameters(source, canonical, selection.all, settings.reset, settings.init_seed)
    finetuning = finetuning_of(source)
    if not settings.train and not finetuning.adapters:
        _warn_of_constant_weights(selection)
    EmbedConstants(selection.all)(canonical)
    evaluation = canonical.clone()
    compared = [each.prediction for each in losses if each.loss.target is not None]
    first = (compared or [losses[0].prediction])[0]
    axes = find_batch_axes(canonical.graph, first, settings.batch_axis)
    planned = add_losses(evaluation, losses, axes)
    CheckIndices()(evaluation)
    if dropout:
        DrawByDropout()(evaluation)
    selection = _without_what_the_loss_ignores(evaluation.graph, selection, settings)
    forward = evaluation.clone()
    KeepOnlyLoss()(forward)
    copies = training_form(
        forward,
        selection.trainable,
        selection.untrained,
        frozen=selection.frozen,
        freeze_bn=settings.freeze_bn or bool(finetuning.adapters),
        dropout=dropout,
    )
    merging = merging_of(finetuning.adapters, canonical.graph, selection.all)
    exported, merged = export_forms(
        source,
        canonical,
        selection.all,
        (*selection.trainable, *selection.statistics, *anew),
        own_names(canonical.graph, selection),
        finetuning,
        merging,
    )
    LowerFakeQuantize()(evaluation)
    ParametersAsInputs(selection.all)(evaluation)
    return TrainingPlan(
        canonical=canonical,
        selection=selection,
        forward=forward,
        evaluation=evaluation,
        copies=copies,
        losses=in_graph(planned, forward.graph),
        exported=exported,
        batch_axes=axes,
        files=files_of(source),
        beside=beside_as_read(source),
        finetuning=finetuning,
        anew=[*anew, *(name for name in selection.all if unquoted(name) in finetuning.reasons)],
        merging=merging,
        merged=merged,
    )


def select(source: ir.Model, canonical: ir.Model, settings: TrainingSettings) -> Selection:
    """The parameters of a model that `read_model` gave in two forms."""
    finetuning = finetuning_of(source)
    return select_parameters(
        canonical, finetuning.trained(settings.train), settings.freeze, finetuning.reasons
    )


def _without_what_the_loss_ignores(
    graph: ir.Graph, selection: Selection, settings: TrainingSettings
) -> Selection:
    ignored = independent_of_loss(graph, selection.trainable)
    if not ignored:
        return selection
    named = listed(f"'{name}'" for name in ignored)
    other = f"choose with {option('prediction')} an output that depends on it"
    if len(ignored) == len(selection.trainable):
        raise UserError(
            f"The loss does not depend on {named}, which is all that is trained: {other}."
        )
    if settings.train:
        raise UserError(
            f"The loss does not depend on {named}: leave that out with {option('freeze')}, or {other}."
        )
    warnings.warn(
        Advice(f"The loss does not depend on {named}: that stays as it is."), stacklevel=4
    )
    return selection.freeze(ignored)


def _warn_of_constant_weights(selection: Selection) -> None:
    verdicts = selection.verdicts.items()
    names = [f"'{unquoted(name)}'" for name, verdict in verdicts if verdict.stands_as_weight]
    if names:
        warnings.warn(
            Advice(
                f"Not trained, though it stands where a weight does: {listed(names)}, a Constant node, where "
                f"weights are initializers. {option('train')} can name it, beside all else that is to be "
                "trained."
            ),
            stacklevel=4,
        )


def own_names(graph: ir.Graph, selection: Selection) -> list[str]:
    """The names of a model's inputs, outputs and parameters."""
    values = dict.fromkeys([*graph.inputs, *graph.outputs])
    return [*(value.name or "" for value in values), *selection.all]


def initial_value(graph: ir.Graph, name: str) -> ir.TensorProtocol:
    """The value of an initializer."""
    tensor = graph.initializers[name].const_value
    assert tensor is not None
    return tensor
