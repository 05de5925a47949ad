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
from svgd_onnx.targets.session import TrainingProgress

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


def load(path: Path) -> tuple[dict[str, np.ndarray], TrainingProgress]:
    """Reads a checkpoint.

    Raises:
        UserError: there is none, or it is damaged.
    """
    if not path.is_file():
        raise UserError(f"There is no checkpoint '{path}': convert the model again.")
    try:
        with safe_open(path, framework="numpy") as file:
            progress = TrainingProgress(**json.loads((file.metadata() or {})[_PROGRESS]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"The checkpoint '{path}' is damaged, and with it what was trained: restore it from a copy, "
            "or convert the model again."
        ) from error
    return tensors, progress
