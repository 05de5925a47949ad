"""CIFAR-10 and CIFAR-100 in their binary version: records of labels and three planes of 32 x 32 bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from svgd_onnx.errors import UserError
from svgd_onnx.training.mapped import map_file
from svgd_onnx.training.sources.image_folder import IMAGE
from svgd_onnx.training.sources.source import LABELS, ArraySource

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
# By the beginning of a file's name: bytes of labels, of which the last counts; and the file that names classes.
_FORMS = {
    "data_batch": (1, "batches.meta.txt"),
    "test_batch": (1, "batches.meta.txt"),
    "train": (2, "fine_label_names.txt"),
    "test": (2, "fine_label_names.txt"),
}
_SUFFIX = ".bin"
_TRAINING = ("data_batch", "train")


def is_cifar(path: Path) -> bool:
    """Whether a file is one of CIFAR by its name, or a folder has such for training."""
    if path.is_dir():
        return bool(_training_files(path))
    return path.suffix == _SUFFIX and _form(path) is not None


def open_cifar(path: Path) -> ArraySource:
    """Images of a file, or of those for training in a folder, (examples, 3, 32, 32) uint8; and labels.

    Raises:
        UserError: a file is of another size.
    """
    files = _training_files(path) if path.is_dir() else [path]
    records = [_records(file) for file in files]
    form = _form(files[0])
    assert form is not None
    labels, names = form
    images = [each[:, labels:].reshape(-1, *_SHAPE) for each in records]
    arrays = {
        IMAGE: images[0] if len(images) == 1 else np.concatenate(images),
        LABELS: np.concatenate([each[:, labels - 1] for each in records]).astype(np.int64),
    }
    return ArraySource(
        arrays, f"'{path}'", own_names=True, classes=_classes(files[0].with_name(names))
    )


def _form(path: Path) -> tuple[int, str] | None:
    return next((form for start, form in _FORMS.items() if path.name.startswith(start)), None)


def _training_files(folder: Path) -> list[Path]:
    return sorted(each for each in folder.glob(f"*{_SUFFIX}") if each.name.startswith(_TRAINING))


def _records(path: Path) -> np.ndarray:
    """The records of a file, mapped."""
    form = _form(path)
    assert form is not None
    length = form[0] + _PIXELS
    try:
        size = path.stat().st_size
        if not size or size % length:
            raise UserError(
                f"'{path}' is {size:,} bytes, which are no whole records of {length:,}: it is no file of "
                "CIFAR's binary version, or damaged."
            )
        return map_file(path, np.dtype(np.uint8), (size // length, length))
    except OSError as error:
        raise UserError(f"'{path}' cannot be read ({error.strerror or error}).") from error


def _classes(path: Path) -> list[str]:
    try:
        return path.read_text().split() if path.is_file() else []
    except (OSError, ValueError):
        return []
