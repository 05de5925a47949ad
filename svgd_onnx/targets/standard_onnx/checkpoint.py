"""Checkpoints as safetensors: parameters, r, running statistics, optimizer state and progress."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from svgd_onnx.errors import UserError
from svgd_onnx.files import UnchangedFiles, is_there, whole_file
from svgd_onnx.files.tensors import write_tensors
from svgd_onnx.json_reading import MisfitError
from svgd_onnx.manifest import Manifest
from svgd_onnx.step_names import RESIDUAL
from svgd_onnx.targets.checkpoint_checks import (
    check_checkpoint,
    check_conversion,
    check_step,
    checkpoint_damaged,
    checkpoint_missing,
)
from svgd_onnx.targets.training_progress import TrainingProgress, read_progress

# In the file's metadata, as JSON. One entry only: safetensors writes several in any order.
_PROGRESS = "svgd.progress"
_RESERVED = "__metadata__"
_DAMAGES = (SafetensorError, MisfitError, KeyError, TypeError, ValueError, RecursionError)


def save(path: Path, tensors: Mapping[str, np.ndarray], progress: TrainingProgress) -> None:
    """Replaces a checkpoint, all at once.

    Args:
        path: the file to replace.
        tensors: by name.
        progress: how far they were trained.

    Raises:
        UserError: it cannot be written; the one that was there stays.
    """
    with whole_file(path) as temporary:
        write(temporary, tensors, progress)


def write(path: Path, tensors: Mapping[str, np.ndarray], progress: TrainingProgress) -> None:
    """As `save`, where none is there.

    Raises:
        OSError: it cannot be written.
        UserError: a tensor is called as what safetensors keeps for itself.
    """
    if _RESERVED in tensors:
        raise UserError(
            f"A checkpoint of safetensors cannot hold a tensor called '{_RESERVED}', which is the name of an "
            "entry of its own: give the parameter another name in the model."
        )
    # not ascontiguousarray, which makes a vector of a single number
    whole = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    write_tensors(path, whole, {_PROGRESS: json.dumps(asdict(progress))})


def progress(path: Path) -> TrainingProgress:
    """How far a checkpoint has been trained; its tensors are not read.

    Raises:
        UserError: there is none, or it is damaged.
    """
    if not is_there(path):
        raise checkpoint_missing(path)
    try:
        with safe_open(path, framework="numpy") as file:
            return _progress(file.metadata())
    except _DAMAGES as error:
        raise checkpoint_damaged(path) from error


def load(path: Path, manifest: Manifest) -> tuple[dict[str, np.ndarray], TrainingProgress]:
    """Reads a checkpoint.

    Raises:
        UserError: there is none, it is damaged, or it is not of artifacts with this manifest.
    """
    if not is_there(path):
        raise checkpoint_missing(path)
    try:
        as_it_was = UnchangedFiles([path])
        with safe_open(path, framework="numpy") as file:
            progress = _progress(file.metadata())
            tensors = {}
            for name in file.keys():  # noqa: SIM118
                as_it_was.check()  # it is mapped
                tensors[name] = file.get_tensor(name)
    except _DAMAGES as error:
        raise checkpoint_damaged(path) from error
    found = {name: (str(array.dtype), array.shape) for name, array in tensors.items()}
    check_step(path, progress.step)
    check_conversion(path.parent, manifest, progress.conversion)
    kept = [name for name in found if not name.startswith(RESIDUAL)]
    check_checkpoint(path.parent, manifest, kept, found.get)
    return tensors, progress


def _progress(metadata: Mapping[str, str] | None) -> TrainingProgress:
    return read_progress(json.loads((metadata or {})[_PROGRESS]))
