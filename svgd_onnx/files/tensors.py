"""Tensors by name in a file of safetensors."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

_OF_THE_SYSTEM = re.compile(r"os error (\d+)")


def write_tensors(
    path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Writes a file, which is not there yet.

    Args:
        path: the file.
        tensors: in C order, by name.
        metadata: texts by name; safetensors writes several in any order.

    Raises:
        OSError: it cannot be written, as of a full disk; safetensors has a class of its own for that.
    """
    try:
        path.touch()
        mode = (
            path.stat().st_mode
        )  # as of any new file; safetensors leaves one that its owner alone may read
        save_file(dict(tensors), path, dict(metadata))
        path.chmod(mode)
    except SafetensorError as error:
        number = _OF_THE_SYSTEM.search(str(error))
        if number is None:
            raise OSError(str(error)) from error
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
