"""Folders that a command writes into."""

from __future__ import annotations

from pathlib import Path

from svgd_onnx import UserError


def make_folder(path: Path) -> None:
    """Makes a folder and those around it, where they are not there yet.

    Raises:
        UserError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder '{path}' cannot be made ({error.strerror}).") from error
