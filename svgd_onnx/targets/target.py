"""What a target is: a runtime that artifacts are made for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from svgd_onnx.manifest import Manifest
from svgd_onnx.targets.session import Session

if TYPE_CHECKING:
    import onnx_ir as ir

    from svgd_onnx.targets.graphs import TrainingGraphs

EVAL_MODEL = "eval_model.onnx"
"""In every target's artifacts: the loss and the model's outputs, with the parameters as inputs."""
MODEL_WITHOUT_WEIGHTS = "model_without_weights.onnx"
"""In every target's artifacts: what is exported, without its parameters."""

MERGED_MODEL_WITHOUT_WEIGHTS = "merged_model_without_weights.onnx"
"""Where adapters stand beside quantized weights: what is exported where these are quantized anew."""

# The value of a parameter, by its name.
Values = Callable[[str], np.ndarray]


@dataclass(frozen=True)
class Target:
    """A runtime that artifacts are made for.

    Its functions import what they need when they are called: a device that trains has no onnx, and one
    that only exports has no runtime.

    Attributes:
        name: as options and manifests have it.
        t_kernel: which T its artifacts have by default.
        optimizers: the update rules that it can run, of `OPTIMIZERS`.
        accumulates: whether a step may be of several batches.
        differentiator: what "auto" is for its gradient graphs, one of `DIFFERENTIATOR_NAMES`.
        step: the file of its training step, which gives the loss and has the gradients in it.
        fast_step: the file of the same step with fast kernels for the processor, where it has a form of them.
        files: those of its artifacts that not every target has.
        checkpoint_files: those of them that a checkpoint is of; the first is always there.
        require: refuses an environment in which `write` cannot work; raises UserError.
        write: the artifacts but svgd.json and the model without weights into a folder; raises UserError.
        lower: a gradient graph, who made it and the model's own operators that are not standard, with the
            operators that `write` leaves in it; raises UserError.
        open: a session to train them in: folder, manifest, threads within an operator (None for
            onnxruntime's choice), device (None for its choice) and whose kernels, one of `KERNELS`; raises
            UserError.
        checkpoint: the parameters that the checkpoint of a folder with a manifest holds; raises UserError.
    """

    name: str
    t_kernel: str
    optimizers: Collection[str]
    accumulates: bool
    differentiator: str
    step: str
    fast_step: str
    files: Collection[str]
    checkpoint_files: Sequence[str]
    require: Callable[[], object]
    write: Callable[[Path, TrainingGraphs], None]
    lower: Callable[[ir.Model, str, Collection[tuple[str, str]]], None]
    open: Callable[[Path, Manifest, int | None, str | None, str], Session]
    checkpoint: Callable[[Path, Manifest], Values]
