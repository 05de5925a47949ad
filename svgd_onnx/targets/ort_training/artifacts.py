"""The files that onnxruntime's training API loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir

from svgd_onnx.records import OF_THE_PARAMETER, State
from svgd_onnx.targets.graphs import TrainingGraphs, WrittenUpdate, with_final_names
from svgd_onnx.targets.ort_training import checkpoint_file
from svgd_onnx.targets.ort_training.file_names import (
    CHECKPOINT,
    FAST_MODEL,
    OPTIMIZER_MODEL,
    TRAINING_MODEL,
)
from svgd_onnx.targets.ort_training.input_names import input_name
from svgd_onnx.targets.recomputation import recompute
from svgd_onnx.targets.target import EVAL_MODEL
from svgd_onnx.transforms.differentiate.differentiators import OWN
from svgd_onnx.transforms.emit import AveragedInputs, FinalNames, FiniteLoss
from svgd_onnx.transforms.emit.ort_training import (
    AccumulateGradients,
    EvaluationInputs,
    optimizer_model,
)
from svgd_onnx.transforms.lower import LowerReluGradient, LowerUntrusted, PortableVirtualGradient
from svgd_onnx.transforms.optimizers.session_operator import SGD_OPTIMIZER
from svgd_onnx.transforms.with_fast_operators import with_fast_operators


def write(folder: Path, graphs: TrainingGraphs) -> WrittenUpdate:
    """Writes the training model, in both its forms, evaluation and optimizer model, and the first checkpoint.

    Returns:
        How they update parameters.

    Raises:
        OSError: the disk is full.
    """
    training, selection, values = graphs.training, graphs.selection, graphs.values
    fast = with_fast_operators(training, portable=graphs.portable) if graphs.fast else None
    steps = {TRAINING_MODEL: training}
    lower(training, graphs.differentiator, portable=graphs.portable)
    if fast is not None:
        lower(fast, graphs.differentiator, portable=False)
        steps[FAST_MODEL] = fast
    for step in steps.values():
        states = _complete(
            step, graphs, fast=step is fast, says=step is (training if fast is None else fast)
        )
    if graphs.update.average is not None:
        AveragedInputs(selection.trainable)(graphs.evaluation)
    kept = [state.name for state in states]
    checkpointed = {*selection.trainable, *selection.untrained, *graphs.states, *kept}
    EvaluationInputs(training.graph, checkpointed)(graphs.evaluation)
    names = FinalNames(graphs.own_names)
    for name, model in {**steps, EVAL_MODEL: graphs.evaluation}.items():
        names(model)
        own = {names.of(each) for each in graphs.own_names}
        for value in model.graph.inputs[: len(graphs.inputs)]:
            value.name = input_name(value.name or "", own)
        ir.save(model, folder / name)
    opset = training.graph.opset_imports[""]
    operator = graphs.update.session_operator(selection.trainable)
    optimizer = optimizer_model(graphs.update.rule, operator or SGD_OPTIMIZER, opset)
    ir.save(optimizer, folder / OPTIMIZER_MODEL)
    checkpoint_file.write(
        folder / CHECKPOINT,
        trainable={names.of(name): values[name] for name in selection.trainable},
        others={
            **{names.of(name): values[name] for name in selection.untrained},
            **{names.of(name): _zeros(shape) for name, shape in graphs.states.items()},
            **{names.of(state.name): _initial(state, values) for state in states},
        },
    )
    return WrittenUpdate(with_final_names(states, names), directs=operator is None)


def _complete(step: ir.Model, graphs: TrainingGraphs, *, fast: bool, says: bool) -> list[State]:
    """Makes a whole step of a gradient graph; gives what it keeps for the update."""
    trainable = graphs.selection.trainable
    if graphs.recompute:
        recompute(step, graphs.batch, says=says)
    cheap, squared = not graphs.recompute, graphs.update.optimizer.squares
    FiniteLoss(trainable, graphs.virtual, cheap=cheap, fast=fast, squared=squared)(step)
    accumulate = AccumulateGradients(trainable, graphs.update)
    accumulate(step)
    return accumulate.states


def lower(model: ir.Model, differentiator: str, *, portable: bool) -> None:
    """Writes a gradient graph with operators whose kernels are right, and fast.

    Args:
        model: loss and gradients are outputs.
        differentiator: who made it.
        portable: whether T is to be written with standard operators.
    """
    if portable:
        PortableVirtualGradient()(model)
    if differentiator == OWN:
        LowerUntrusted()(model)
    LowerReluGradient()(model)


def _initial(state: State, values: Mapping[str, ir.TensorProtocol]) -> ir.TensorProtocol:
    of_it = state.state in OF_THE_PARAMETER
    return values[str(state.parameter)] if of_it else _zeros(state.shape)


def _zeros(shape: Sequence[int]) -> ir.TensorProtocol:
    return ir.tensor(np.zeros(shape, np.float32))
