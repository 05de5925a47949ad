"""Checkpoints as safetensors: parameters, r, running statistics, optimizer state and progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from svgd_onnx.errors import UserError
from svgd_onnx.files import whole_file
from svgd_onnx.targets.session import TrainingProgress

# Metadata of the file: text only.
_PREFIX = "svgd."


def save(path: Path, tensors: Mapping[str, np.ndarray], progress: TrainingProgress) -> None:
    """Replaces a checkpoint, all at once.

    Args:
        path: the file to replace.
        tensors: by name.
        progress: goes into the file's metadata, as `svgd.step` and so on.

    Raises:
        UserError: it cannot be written; the one that was there stays.
    """
    metadata = {f"{_PREFIX}{name}": str(value) for name, value in asdict(progress).items()}
    whole = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    with whole_file(path) as temporary:
        try:
            save_file(whole, temporary, metadata)
        except SafetensorError as error:
            raise UserError(f"The checkpoint '{path}' cannot be written ({error}).") from error


def load(path: Path) -> tuple[dict[str, np.ndarray], TrainingProgress]:
    """Reads a checkpoint.

    Raises:
        UserError: there is none, or it is damaged.
    """
    if not path.is_file():
        raise UserError(f"There is no checkpoint '{path}': convert the model again.")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            progress = {name: int(metadata[f"{_PREFIX}{name}"]) for name in _FIELDS}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"The checkpoint '{path}' is damaged: convert the model again.") from error
    return tensors, TrainingProgress(**progress)


_FIELDS = tuple(asdict(TrainingProgress()))
