"""A folder of `.npy` files: an array each, of the file's name, mapped into memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from svgd_onnx.errors import UserError
from svgd_onnx.files import require_file
from svgd_onnx.training.sources.source import ArraySource

SUFFIX = ".npy"


def open_npy_folder(path: Path) -> ArraySource:
    """The arrays of a folder.

    Raises:
        UserError: a file is no array of numbers.
    """
    files = sorted(path.glob(f"*{SUFFIX}"))
    return ArraySource({file.stem: _mapped(file) for file in files}, f"'{path}'")


def _mapped(file: Path) -> np.ndarray:
    require_file(file)
    try:
        return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
    except Exception as error:  # NumPy raises several kinds
        raise UserError(
            f"'{file}' is not a readable .npy file of numbers: write it with numpy.save."
        ) from error
