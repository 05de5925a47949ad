"""Where a client's artifacts lie: what a device keeps from round to round is in a folder of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

from svgd_onnx.errors import UserError
from svgd_onnx.files import FOLDER_FILES, PathLike, whole_folder
from svgd_onnx.manifest import Manifest


def device_folder(artifacts: PathLike, folder: PathLike) -> Path:
    """A client's own copy of a folder of artifacts, made where there is none yet.

    Args:
        artifacts: as they were converted, or trained before.
        folder: where the copy lies; r, and what the optimizer keeps, stay in it from round to round.

    Returns:
        The copy.

    Raises:
        UserError: there are no artifacts, they are damaged, what is there is a copy of others, or it cannot be
            written.
    """
    source, path = Path(artifacts), Path(folder)
    Manifest.load(source)
    if not path.exists():
        try:
            with whole_folder(path, force=False, foreign=lambda _: None) as made:
                for file in source.iterdir():
                    if file.is_file() and file.name not in FOLDER_FILES:
                        shutil.copyfile(file, made / file.name)
        except UserError:
            if not path.exists():  # else another process or thread made it meanwhile
                raise
    if Manifest.load(path).files != Manifest.load(source).files:
        raise UserError(
            f"'{path}' has a client's copy of other artifacts than '{source}' has: remove it, or give another "
            "folder of clients."
        )
    return path
