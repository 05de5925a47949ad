"""onnxruntime checkpoints: parameters, r, running statistics, optimizer state and progress."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from svgd_onnx.errors import UserError, first_line
from svgd_onnx.files import is_there, whole_file
from svgd_onnx.json_reading import MisfitError
from svgd_onnx.manifest import Manifest
from svgd_onnx.runtime import training_binding
from svgd_onnx.targets.checkpoint_checks import (
    check_checkpoint,
    check_conversion,
    check_step,
    checkpoint_damaged,
    checkpoint_missing,
)
from svgd_onnx.targets.training_progress import TrainingProgress, read_progress

_PREFIX = "svgd."
_CHUNK = 1 << 20


def load(path: Path, manifest: Manifest) -> Any:
    """Reads a checkpoint as onnxruntime's CheckpointState.

    Raises:
        UserError: there is none, it is damaged, or it is not of artifacts with this manifest.
    """
    if not is_there(path):
        raise checkpoint_missing(path)
    try:
        state = training_binding().load_checkpoint(str(path))
        found = progress(state, path)
        check_step(path, found.step)
        check_conversion(path.parent, manifest, found.conversion)
        names = state.parameter_names()
        check_checkpoint(path.parent, manifest, names, lambda name: _found(state, name))
    except (RuntimeError, UnicodeDecodeError) as error:  # what it says of tensors may be no text
        raise checkpoint_damaged(path) from error
    return state


def _found(state: Any, name: str) -> tuple[str, tuple[int, ...]] | None:
    if not state.has_parameter(name):
        return None
    value = state.get_parameter(name).data
    shape = tuple(value.shape())
    return ("float32" if value.data_type() == "tensor(float)" else value.data_type()), shape


def save(state: Any, path: Path, *, optimizer_state: bool) -> None:
    """Replaces a checkpoint, all at once.

    Args:
        state: onnxruntime's CheckpointState.
        path: the file to replace.
        optimizer_state: whether the update rule has a state. onnxruntime keeps one of the parameters'
            size for plain SGD too, which never changes.

    Raises:
        UserError: it cannot be written; the one that was there stays.
    """
    with whole_file(path) as temporary:
        size = sum(file.stat().st_size for file in (path, data_file(path)) if file.is_file())
        _write(temporary, size, state, str(temporary), optimizer_state)


def data_file(path: Path) -> Path:
    """Where onnxruntime puts the tensors of a checkpoint of more than 1.8 GB, beside the rest."""
    return path.with_name(f"{path.name}.data")


def _write(path: Path, size: int, *arguments: Any) -> None:
    try:
        training_binding().save_checkpoint(*arguments)
        # The writer does not notice a full disk, but what it wrote then cannot be read.
        training_binding().load_checkpoint(str(path))
    except RuntimeError as error:
        # If the disk is full, this says so.
        with path.open("wb") as file:
            for _ in range(0, size, _CHUNK):
                file.write(bytes(_CHUNK))
        raise UserError(
            f"onnxruntime cannot write the checkpoint '{path}' ({first_line(error)}). Its format "
            "holds no more than 2 GB of optimizer state: train larger models by svgd or sgd, which have none."
        ) from error


def array(state: Any, name: str) -> np.ndarray:
    """A parameter, r or running statistic, as a view onto the session's memory."""
    result: np.ndarray = state.get_parameter(name).data.numpy()
    return result


def set_progress(state: Any, progress: TrainingProgress) -> None:
    """Notes how far training has come, and by which conversion."""
    for name, value in asdict(progress).items():
        # what does not fit 64 bits with a sign would be rounded to a float
        fits = isinstance(value, int) and value < 2**63
        state.add_property(f"{_PREFIX}{name}", value if fits else json.dumps(value))


def progress(state: Any, path: Path) -> TrainingProgress:
    """How far a checkpoint has been trained, and by which conversion.

    Raises:
        UserError: what it says of that is not what is written.
    """
    names = [f"{_PREFIX}{name}" for name in asdict(TrainingProgress())]
    try:
        found = {name: state.get_property(name) for name in names if state.has_property(name)}
        values = {name.removeprefix(_PREFIX): _value(value) for name, value in found.items()}
        return read_progress(values)
    except (MisfitError, ValueError, OverflowError, RecursionError) as error:
        raise checkpoint_damaged(path) from error


def _value(given: Any) -> object:
    """Of a property, which onnxruntime has as an integer, a float or a text."""
    return json.loads(given) if isinstance(given, str) else int(given)
