"""The files that onnxruntime's training API loads."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from svgd_onnx.targets import EVAL_MODEL
from svgd_onnx.targets.graphs import TrainingGraphs
from svgd_onnx.targets.ort_training import checkpoint
from svgd_onnx.transforms.emit.ort_training import (
    AccumulateGradients,
    EvaluationInputs,
    optimizer_model,
)
from svgd_onnx.transforms.lower import LowerReluGradient, PortableVirtualGradient

TRAINING_MODEL = "training_model.onnx"
OPTIMIZER_MODEL = "optimizer_model.onnx"
CHECKPOINT = "checkpoint"


def write(folder: Path, graphs: TrainingGraphs) -> None:
    """Writes training, evaluation and optimizer model, and the checkpoint that training starts from.

    Raises:
        UserError: the checkpoint cannot be written.
    """
    training, selection = graphs.training, graphs.selection
    if graphs.portable:
        PortableVirtualGradient()(training)
    LowerReluGradient()(training)
    AccumulateGradients(selection.trainable)(training)
    checkpointed = {*selection.trainable, *selection.untrained, *graphs.states}
    EvaluationInputs(training.graph, checkpointed)(graphs.evaluation)
    ir.save(training, folder / TRAINING_MODEL)
    ir.save(graphs.evaluation, folder / EVAL_MODEL)
    opset = training.graph.opset_imports[""]
    optimizer = optimizer_model(graphs.update, graphs.hyper_parameters, opset)
    ir.save(optimizer, folder / OPTIMIZER_MODEL)
    checkpoint.create(
        folder / CHECKPOINT,
        trainable=[graphs.values[name] for name in selection.trainable],
        others=[graphs.values[name] for name in selection.untrained],
        states=graphs.states,
    )
