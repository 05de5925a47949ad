"""Checkpoints as safetensors: parameters, r, running statistics, optimizer state and progress."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from svgd_onnx.errors import UserError
from svgd_onnx.files import whole_file
from svgd_onnx.json_reading import MisfitError, read
from svgd_onnx.manifest import Manifest
from svgd_onnx.targets.session import (
    TrainingProgress,
    check_checkpoint,
    check_conversion,
    checkpoint_damaged,
)

# In the file's metadata, as JSON. One entry only: safetensors writes several in any order.
_PROGRESS = "svgd.progress"


def save(path: Path, tensors: Mapping[str, np.ndarray], progress: TrainingProgress) -> None:
    """Replaces a checkpoint, all at once.

    Args:
        path: the file to replace.
        tensors: by name.
        progress: how far they were trained.

    Raises:
        UserError: it cannot be written; the one that was there stays.
    """
    metadata = {_PROGRESS: json.dumps(asdict(progress))}
    # not ascontiguousarray, which makes a vector of a single number
    whole = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    with whole_file(path) as temporary:
        try:
            save_file(whole, temporary, metadata)
        except SafetensorError as error:
            raise UserError(f"The checkpoint '{path}' cannot be written ({error}).") from error


def load(path: Path, manifest: Manifest) -> tuple[dict[str, np.ndarray], TrainingProgress]:
    """Reads a checkpoint.

    Raises:
        UserError: there is none, it is damaged, or it is not of artifacts with this manifest.
    """
    if not path.is_file():
        raise UserError(f"There is no checkpoint '{path}': convert the model again.")
    try:
        with safe_open(path, framework="numpy") as file:
            progress = read(TrainingProgress, json.loads((file.metadata() or {})[_PROGRESS]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, MisfitError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise checkpoint_damaged(path) from error
    found = {name: (str(array.dtype), array.shape) for name, array in tensors.items()}
    check_conversion(path.parent, manifest, progress.conversion)
    check_checkpoint(path.parent, manifest, found.get)
    return tensors, progress
