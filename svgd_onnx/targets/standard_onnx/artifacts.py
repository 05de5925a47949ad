"""The files of the target onnx."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from svgd_onnx.records import OF_THE_PARAMETER, State
from svgd_onnx.step_names import IN_PLACE, LOSS_SCALE, SHARE
from svgd_onnx.targets.graphs import TrainingGraphs, WrittenUpdate, with_final_names
from svgd_onnx.targets.recomputation import recompute
from svgd_onnx.targets.standard_onnx import checkpoint
from svgd_onnx.targets.standard_onnx.file_names import (
    CHECKPOINT,
    FAST_STEP,
    TRAINING_STEP,
    piece_of,
)
from svgd_onnx.targets.target import EVAL_MODEL
from svgd_onnx.targets.training_progress import TrainingProgress
from svgd_onnx.transforms.bodies import all_bodies
from svgd_onnx.transforms.data_parallel import ALL_REDUCE, GlobalBatch, cut
from svgd_onnx.transforms.data_parallel import DOMAIN as RANKS_DOMAIN
from svgd_onnx.transforms.emit import AveragedInputs, FinalNames, FiniteLoss
from svgd_onnx.transforms.emit.standard_onnx import (
    GradientsLast,
    ParameterUpdate,
    StateOutputs,
    looks_at_gradients,
    overwritten,
)
from svgd_onnx.transforms.lower import (
    Lower,
    PortableVirtualGradient,
    ScatterIntoSum,
    operators_of,
)
from svgd_onnx.transforms.mixed_precision import HalfProducts, LeaveOutSteps
from svgd_onnx.transforms.virtualize import DOMAIN
from svgd_onnx.transforms.with_fast_operators import with_fast_operators

# What onnxruntime 1.17 reads.
_IR_VERSION = 9


def write(folder: Path, graphs: TrainingGraphs) -> WrittenUpdate:
    """Writes the training step, in both its forms, the evaluation model and the checkpoint.

    Returns:
        How they update parameters.

    Raises:
        UserError: an operator cannot be expressed, or the checkpoint cannot be written.
    """
    training, evaluation = graphs.training, graphs.evaluation
    own = operators_of(evaluation)
    StateOutputs()(training)
    names = FinalNames(graphs.own_names)
    pieces = write_pieces(folder, graphs, own, names) if graphs.data_parallel.data_parallel else 0
    forms = forms_of(training, graphs, own)
    for name, step in forms.items():
        states = complete(step, graphs, fast=name == FAST_STEP, says=name == [*forms][-1])
        _save(step, folder / name, names)
    if graphs.update.average is not None:
        AveragedInputs(graphs.selection.trainable)(evaluation)
    _save(evaluation, folder / EVAL_MODEL, names)
    zeros = {**graphs.states, **{each.name: each.shape for each in states}}
    copies = {each.name: str(each.parameter) for each in states if each.state in OF_THE_PARAMETER}
    checkpoint.write(
        folder / CHECKPOINT,
        {
            **{names.of(name): value.numpy() for name, value in graphs.values.items()},
            **{names.of(name): np.zeros(shape, np.float32) for name, shape in zeros.items()},
            **_first_scale(graphs, states, names),
            **{names.of(name): graphs.values[of].numpy() for name, of in copies.items()},
        },
        TrainingProgress(),
    )
    return WrittenUpdate(with_final_names(states, names), pieces=pieces)


def forms_of(
    training: ir.Model, graphs: TrainingGraphs, own: Collection[tuple[str, str]]
) -> dict[str, ir.Model]:
    """A gradient graph in the forms that there are of it, by the files that they become."""
    fast = with_fast_operators(training, portable=graphs.portable) if graphs.fast else None
    _standard_operators(training, own, portable=graphs.portable)
    if graphs.half:
        HalfProducts(graphs.half)(training)
    if fast is None:
        return {TRAINING_STEP: training}
    _standard_operators(fast, own, portable=False)
    return {TRAINING_STEP: training, FAST_STEP: fast}


def complete(
    step: ir.Model,
    graphs: TrainingGraphs,
    *,
    fast: bool,
    whole: bool = True,
    says: bool = False,
) -> list[State]:
    """Makes a whole step of a gradient graph; gives what it keeps for the update.

    Args:
        step: the graph.
        graphs: it is of these.
        fast: whether operators of ours may be used.
        whole: whether the step is one graph; else it is to be cut into pieces.
        says: whether to warn where recomputation changes nothing.
    """
    selection = graphs.selection
    if graphs.recompute:
        recompute(step, graphs.batch, says=says)
    GradientsLast()(step)
    # What stands for a gradient in float32 may be finite where that is not in float16; and an operator of ours
    # looks at it as it descends.
    looks = fast and looks_at_gradients(graphs.update)
    cheap = whole and not (graphs.recompute or graphs.half or looks)
    squared = graphs.update.optimizer.squares
    FiniteLoss(selection.trainable, graphs.virtual, cheap=cheap, fast=fast, squared=squared)(step)
    scale, when, kept = graphs.update.loss_scale, None, []
    if scale is not None and scale.is_dynamic:
        leaving = LeaveOutSteps(scale)
        leaving(step)
        when, kept = leaving.is_fine, leaving.states
    in_place = whole and not all_bodies(step.graph)
    update = ParameterUpdate(selection.trainable, graphs.update, fast, in_place, when)
    update(step)
    if in_place:
        common.RemoveUnusedNodesPass()(step)
    return [*update.states, *kept]


def _first_scale(
    graphs: TrainingGraphs, states: Collection[State], names: FinalNames
) -> dict[str, np.ndarray]:
    scale = graphs.update.loss_scale
    if scale is None:
        return {}
    first = np.array(scale.initial, np.float32)
    return {names.of(each.name): first for each in states if each.name == LOSS_SCALE}


def write_pieces(
    folder: Path, graphs: TrainingGraphs, own: Collection[tuple[str, str]], names: FinalNames
) -> int:
    """Writes the step in pieces, in both its forms; gives how many there are."""
    whole = graphs.training.clone()
    parameters, count = graphs.selection.trainable, 0
    GlobalBatch(parameters, graphs.batch, graphs.data_parallel)(whole)
    for name, step in forms_of(whole, graphs, {*own, (RANKS_DOMAIN, ALL_REDUCE)}).items():
        complete(step, graphs, fast=name == FAST_STEP, whole=False)
        step.ir_version = _IR_VERSION
        names(step)
        pieces = cut(step, [*map(names.of, graphs.batch), names.of(SHARE)])
        for number, piece in enumerate(pieces, 1):
            (folder / piece_of(name, number)).write_bytes(piece.SerializeToString())
        count = len(pieces)
    return count


def _save(model: ir.Model, path: Path, names: FinalNames) -> None:
    model.ir_version = _IR_VERSION
    in_place = overwritten(model.graph)
    names(model)
    if in_place:
        model.metadata_props[IN_PLACE] = json.dumps([value.name for value in in_place])
    ir.save(model, path)


def lower(
    model: ir.Model, differentiator: str, own: Collection[tuple[str, str]], *, portable: bool
) -> None:
    """Writes a gradient graph with standard operators.

    Args:
        model: loss and gradients are outputs.
        differentiator: who made it.
        own: operators that are not standard and of the model itself, which stay, by domain and name.
        portable: whether T is to be written with standard operators too.

    Raises:
        UserError: an operator cannot be expressed.
    """
    StateOutputs()(model)
    _standard_operators(model, own, portable=portable)


def _standard_operators(
    model: ir.Model, own: Collection[tuple[str, str]], *, portable: bool
) -> None:
    """As `lower`, where what a step changes is an output already."""
    if portable:
        PortableVirtualGradient(writes_back=False)(model)
    Lower(frozenset() if portable else frozenset({DOMAIN}), own)(model)
    ScatterIntoSum()(model)
    if not all_bodies(model.graph):
        # it would make outer values outputs of bodies, which onnxruntime does not take
        _forget_other_ranks(model.graph)
        common.IdentityEliminationPass()(model)


def _forget_other_ranks(graph: ir.Graph) -> None:
    """A model may state another number of axes behind an Identity; what it gives is found out by a run."""
    for node in graph:
        if node.op_type == "Identity" and node.inputs[0] is not None:
            given, output = node.inputs[0].shape, node.outputs[0]
            if given is not None and output.shape is not None and len(given) != len(output.shape):
                output.shape = None
