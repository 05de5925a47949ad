"""What a target is: a runtime that artifacts are made for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from svgd_onnx.distributed import Communicator
from svgd_onnx.manifest import Manifest
from svgd_onnx.targets.session import Session
from svgd_onnx.targets.training_progress import TrainingProgress

if TYPE_CHECKING:
    import onnx_ir as ir

    from svgd_onnx.targets.graphs import TrainingGraphs, WrittenUpdate

EVAL_MODEL = "eval_model.onnx"
"""In every target's artifacts: the loss and the model's outputs, with the parameters as inputs."""
MODEL_WITHOUT_WEIGHTS = "model_without_weights.onnx"
"""In every target's artifacts: what is exported, without its parameters."""

MERGED_MODEL_WITHOUT_WEIGHTS = "merged_model_without_weights.onnx"
"""Where adapters stand beside quantized weights: what is exported where these are quantized anew."""

NO_OPTIONS: Mapping[str, str] = {}

# The value of a parameter, by its name.
Values = Callable[[str], np.ndarray]


class Open(Protocol):
    """How artifacts are opened for training."""

    def __call__(
        self,
        folder: Path,
        manifest: Manifest,
        threads: int | None,
        device: str | None,
        kernels: str,
        device_options: Mapping[str, str] = NO_OPTIONS,
        step: int | None = None,
    ) -> Session:
        """A session.

        Args:
            folder: artifacts.
            manifest: theirs.
            threads: within an operator; None for onnxruntime's choice.
            device: what runs the steps; None for the target's choice.
            kernels: whose kernels, one of `KERNELS`.
            device_options: of the device's execution provider.
            step: of the kept checkpoint to begin from; None for the folder's own.

        Raises:
            UserError: an artifact is missing or damaged, or this environment cannot train.
        """
        ...


class ReadCheckpoint(Protocol):
    """How the parameters of a checkpoint are read."""

    def __call__(self, folder: Path, manifest: Manifest, step: int | None = None) -> Values:
        """The parameters that a checkpoint holds; `step` as in `Open`.

        Raises:
            UserError: it is missing, damaged or of other artifacts.
        """
        ...


@dataclass(frozen=True)
class Target:
    """A runtime that artifacts are made for.

    Its functions import what they need when they are called: a device that trains has no onnx, and one
    that only exports has no runtime.

    Attributes:
        name: as options and manifests have it.
        t_kernel: which T its artifacts have by default.
        differentiator: what "auto" is for its gradient graphs, one of `DIFFERENTIATOR_NAMES`.
        step: the file of its training step, which gives the loss and has the gradients in it.
        fast_step: the file of the same step with fast kernels for the processor, where it has a form of them.
        files: those of its artifacts that not every target has.
        checkpoint_files: those of them that a checkpoint is of; the first is always there.
        require: refuses an environment in which `write` cannot work; raises UserError.
        write: the artifacts but svgd.json and the model without weights into a folder; gives how
            they update parameters; raises UserError.
        lower: a gradient graph, who made it and the model's own operators that are not standard, with the
            operators that `write` leaves in it; raises UserError.
        open: a session to train them in.
        open_parallel: how one of several ranks opens them, where they have a step for several, and whether
            gradients travel as "float16"; None where there is none.
        kept_bytes: the memory of an opened session with a manifest and so many nodes in its step, before it
            computes anything: parameters, gradients, r, the optimizer's states and the graph itself.
        binds_outputs: whether the outputs of a step have memory that is kept.
        checkpoint: the parameters that a checkpoint holds.
        progress: how far the checkpoint of a folder with a manifest has been trained; raises UserError.
    """

    name: str
    t_kernel: str
    differentiator: str
    step: str
    fast_step: str
    files: Collection[str]
    checkpoint_files: Sequence[str]
    require: Callable[[], object]
    write: Callable[[Path, TrainingGraphs], WrittenUpdate]
    lower: Callable[[ir.Model, str, Collection[tuple[str, str]]], None]
    open: Open
    kept_bytes: Callable[[Manifest, int], int]
    binds_outputs: bool
    checkpoint: ReadCheckpoint
    progress: Callable[[Path, Manifest], TrainingProgress]
    open_parallel: Callable[[Communicator, str | None], Open] | None = None
