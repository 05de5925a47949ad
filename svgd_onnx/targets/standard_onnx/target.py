"""The target onnx."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from svgd_onnx.distributed import Communicator
from svgd_onnx.manifest import Manifest
from svgd_onnx.targets.checkpoint_names import name_of_step
from svgd_onnx.targets.session import Session
from svgd_onnx.targets.standard_onnx.file_names import CHECKPOINT, FAST_STEP, TRAINING_STEP
from svgd_onnx.targets.target import NO_OPTIONS, Open, Target, Values
from svgd_onnx.targets.training_progress import TrainingProgress
from svgd_onnx.targets.update_bytes import update_bytes

if TYPE_CHECKING:
    import onnx_ir as ir

    from svgd_onnx.targets.graphs import TrainingGraphs, WrittenUpdate


def _write(folder: Path, graphs: TrainingGraphs) -> WrittenUpdate:
    from svgd_onnx.targets.standard_onnx.artifacts import write

    return write(folder, graphs)


def _lower(model: ir.Model, differentiator: str, own: Collection[tuple[str, str]]) -> None:
    from svgd_onnx.targets.standard_onnx.artifacts import lower

    lower(model, differentiator, own, portable=True)


def _open(
    folder: Path,
    manifest: Manifest,
    threads: int | None,
    device: str | None,
    kernels: str,
    device_options: Mapping[str, str] = NO_OPTIONS,
    step: int | None = None,
) -> Session:
    from svgd_onnx.targets.standard_onnx.session import InferenceTrainingSession

    return InferenceTrainingSession(
        folder,
        manifest,
        threads,
        device,
        kernels=kernels,
        device_options=device_options,
        step=step,
    )


def _open_parallel(communicator: Communicator, compress: str | None = None) -> Open:
    from svgd_onnx.targets.standard_onnx.data_parallel import DataParallelSession

    return partial(DataParallelSession, communicator, compress)


def _checkpoint(folder: Path, manifest: Manifest, step: int | None = None) -> Values:
    from svgd_onnx.targets.standard_onnx import checkpoint

    tensors, _ = checkpoint.load(folder / name_of_step(CHECKPOINT, step), manifest)
    return tensors.__getitem__


def _progress(folder: Path, manifest: Manifest) -> TrainingProgress:
    from svgd_onnx.targets.standard_onnx import checkpoint

    return checkpoint.progress(folder / CHECKPOINT)


# Measured: what onnxruntime holds for a node, and without any.
_NODE_BYTES, _SESSION_BYTES = 5_500, 1_000_000


def _kept_bytes(manifest: Manifest, nodes: int) -> int:
    """What a step changes is there twice."""
    trainable = sum(each.nbytes for each in manifest.parameters if each.trainable)
    parameters = sum(each.nbytes for each in manifest.parameters)
    changing = trainable + update_bytes(manifest) + manifest.state_bytes
    return parameters - trainable + 2 * changing + nodes * _NODE_BYTES + _SESSION_BYTES


STANDARD_ONNX = Target(
    name="onnx",
    t_kernel="portable",
    differentiator="own",
    step=TRAINING_STEP,
    fast_step=FAST_STEP,
    files=(TRAINING_STEP, FAST_STEP, CHECKPOINT),
    checkpoint_files=(CHECKPOINT,),
    require=lambda: None,
    write=_write,
    lower=_lower,
    open=_open,
    kept_bytes=_kept_bytes,
    binds_outputs=True,
    checkpoint=_checkpoint,
    progress=_progress,
    open_parallel=_open_parallel,
)
"""One step as a model of standard operators, for any onnxruntime."""
