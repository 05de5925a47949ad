"""A folder of `.npy` files: an array each, of the file's name, mapped into memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from svgd_onnx.errors import UserError
from svgd_onnx.files import require_there
from svgd_onnx.training.mapped import map_file
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
    require_there(file)
    try:
        whole = np.lib.format.open_memmap(file, "r")  # which looks at what the file says of itself
        order = "F" if np.isfortran(whole) else "C"
        return map_file(file, whole.dtype, whole.shape, offset=whole.offset, order=order)
    except Exception as error:  # NumPy raises several kinds
        raise UserError(
            f"'{file}' is not a readable .npy file of numbers: write it with numpy.save."
        ) from error
