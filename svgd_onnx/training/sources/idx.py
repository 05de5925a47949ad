"""IDX, the format of MNIST: a file of images and one of labels beside it, as published (.gz) or unpacked."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from svgd_onnx.errors import UserError
from svgd_onnx.files import require_file
from svgd_onnx.training.sources.image_folder import IMAGE
from svgd_onnx.training.sources.source import LABELS, ArraySource

# By the third byte of a file: numbers are big-endian.
_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_HIGHEST_RATIO = 1032  # of bytes before and after deflate
_IMAGES, _LABELS = "images-idx", "labels-idx"
_TRAINING = "train-"
_MOST_AXES = 32  # that an array may have in any version of NumPy


def is_idx(path: Path) -> bool:
    """Whether a file is one of IDX by its name, or a folder has such."""
    if path.is_dir():
        return bool(_images_of(path))
    return _IMAGES in path.name or _LABELS in path.name


def open_idx(path: Path) -> ArraySource:
    """Images, and the labels that lie beside them.

    Args:
        path: the file of images; or a folder with one, or with one for training.

    Raises:
        UserError: a file is damaged, labels are as many as images are not, or a folder has several.
    """
    file = path
    if path.is_dir():
        found = _images_of(path)
        found = [each for each in found if each.name.startswith(_TRAINING)] or found
        if len(found) > 1:
            raise UserError(f"'{path}' has several files of images: give one, as '{found[0]}'.")
        (file,) = found
    if _IMAGES not in file.name:
        raise UserError(f"'{path}' has labels: give the file of images, beside which it lies.")
    arrays = {IMAGE: read_idx(file)}
    stem = file.name.removesuffix(".gz").replace(_IMAGES, _LABELS)
    labels = [
        each
        for each in file.parent.iterdir()
        if each.name.removesuffix(".gz").startswith(stem.partition(_LABELS)[0] + _LABELS)
    ]
    if labels:
        arrays[LABELS] = read_idx(min(labels))
        if len(arrays[LABELS]) != len(arrays[IMAGE]):
            raise UserError(
                f"'{file}' has {len(arrays[IMAGE])} images, and '{min(labels)}' {len(arrays[LABELS])} labels: "
                "they do not belong together."
            )
    return ArraySource(arrays, f"'{path}'", own_names=True)


def read_idx(path: Path) -> np.ndarray:
    """The array of a file, of the type and shape that it states.

    Raises:
        UserError: the file is damaged, or of another size than it states.
    """
    require_file(path)
    opened = gzip.open if path.name.endswith(".gz") else open
    try:
        size = path.stat().st_size * (_HIGHEST_RATIO if opened is gzip.open else 1)
        with opened(path, "rb") as file:
            start = file.read(4)
            if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _TYPES:
                raise UserError(f"'{path}' does not begin as a file of IDX does.")
            dtype = np.dtype(_TYPES[start[2]])
            shape = np.frombuffer(file.read(4 * start[3]), ">u4").tolist()
            stated = math.prod(shape) * dtype.itemsize
            content = file.read(stated + 1) if len(shape) == start[3] and stated <= size else b""
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise UserError(f"'{path}' cannot be read ({error}): fetch it again.") from error
    if len(content) != stated or not 0 < len(shape) <= _MOST_AXES:
        raise UserError(
            f"'{path}' is damaged: it states an array of shape {tuple(shape)}, and has not as many numbers."
        )
    array: np.ndarray = np.frombuffer(content, dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _images_of(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if _IMAGES in each.name and each.is_file())
