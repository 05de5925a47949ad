"""The target ort-training."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from svgd_onnx.errors import UserError, option
from svgd_onnx.manifest import Manifest
from svgd_onnx.runtime import training_binding
from svgd_onnx.targets.checkpoint_names import name_of_step
from svgd_onnx.targets.ort_training.file_names import (
    CHECKPOINT,
    CHECKPOINT_FILES,
    FAST_MODEL,
    OPTIMIZER_MODEL,
    TRAINING_MODEL,
)
from svgd_onnx.targets.session import Session
from svgd_onnx.targets.target import NO_OPTIONS, Target, Values
from svgd_onnx.targets.training_progress import TrainingProgress
from svgd_onnx.targets.update_bytes import update_bytes

if TYPE_CHECKING:
    import onnx_ir as ir

    from svgd_onnx.targets.graphs import TrainingGraphs, WrittenUpdate


def _write(folder: Path, graphs: TrainingGraphs) -> WrittenUpdate:
    from svgd_onnx.targets.ort_training.artifacts import write

    return write(folder, graphs)


def _lower(model: ir.Model, differentiator: str, own: Collection[tuple[str, str]]) -> None:
    from svgd_onnx.targets.ort_training.artifacts import lower

    lower(model, differentiator, portable=True)


def _open(
    folder: Path,
    manifest: Manifest,
    threads: int | None,
    device: str | None,
    kernels: str,
    device_options: Mapping[str, str] = NO_OPTIONS,
    step: int | None = None,
) -> Session:
    from svgd_onnx.targets.ort_training.session import OrtTrainingSession

    if device not in (None, "cpu"):
        raise UserError(
            f"{option('device', device)} is of {option('target', 'onnx')}: convert with that."
        )
    if device_options:
        raise UserError(
            f"{option('device_option')} is of {option('target', 'onnx')}: convert with that."
        )
    return OrtTrainingSession(folder, manifest, threads, kernels, step=step)


def _checkpoint(folder: Path, manifest: Manifest, step: int | None = None) -> Values:
    from svgd_onnx.targets.ort_training import checkpoint

    training_binding()  # says so where there is none, before anything that such a place lacks too
    state = checkpoint.load(folder / name_of_step(CHECKPOINT, step), manifest)
    return lambda name: checkpoint.array(state, name)


def _progress(folder: Path, manifest: Manifest) -> TrainingProgress:
    from svgd_onnx.targets.ort_training import checkpoint

    training_binding()
    path = folder / CHECKPOINT
    return checkpoint.progress(checkpoint.load(path, manifest), path)


# Measured: what onnxruntime holds for a node of the training and the evaluation model, and without any.
_NODE_BYTES, _SESSION_BYTES = 16_000, 1_500_000
# Memory of larger pieces goes back to the system when it is freed (M_MMAP_THRESHOLD of the GNU C library).
_KEPT_WHEN_FREED = 32 << 20


def _kept_bytes(manifest: Manifest, nodes: int) -> int:
    """Also the file of the checkpoint, which is read whole; and a copy of what a step changes where it lies.

    A large file is gone by the time that gradients are there. onnxruntime keeps one state for each parameter
    for plain SGD too.
    """
    parameters = sum(each.nbytes for each in manifest.parameters)
    trainable = sum(each.nbytes for each in manifest.parameters if each.trainable)
    states = max(trainable, update_bytes(manifest))
    in_place = 2 * manifest.state_bytes
    file = parameters + manifest.state_bytes
    read = file if file < _KEPT_WHEN_FREED else 0
    changed = parameters + trainable + states + in_place
    return changed + read + nodes * _NODE_BYTES + _SESSION_BYTES


ORT_TRAINING = Target(
    name="ort-training",
    t_kernel="fused",
    differentiator="auto",
    step=TRAINING_MODEL,
    fast_step=FAST_MODEL,
    files=(TRAINING_MODEL, FAST_MODEL, OPTIMIZER_MODEL, *CHECKPOINT_FILES),
    checkpoint_files=CHECKPOINT_FILES,
    require=training_binding,
    write=_write,
    lower=_lower,
    open=_open,
    kept_bytes=_kept_bytes,
    binds_outputs=False,
    checkpoint=_checkpoint,
    progress=_progress,
)
"""onnxruntime's training session."""
