"""A run that has not come to its end, as text: from it the run goes on elsewhere, to the same bits.

The file is a zip of the run's folder in base 85, a line each 100 characters. What is left out follows from the
rest: the state before the first step, and who holds the folder.
"""

from __future__ import annotations

import base64
import io
import shutil
import zipfile
from pathlib import Path

from svgd_onnx import UserError
from svgd_onnx.files import whole_file

LEFT_OUT = (".svgd-*", "checkpoint.step-0")
# Of each file in the zip, so that the same state is the same text.
DATE = (1980, 1, 1, 0, 0, 0)
WIDTH = 100


def state_of(result: Path) -> Path:
    """Where the state of a run lies, by the file of its result."""
    return result.with_suffix(".state.txt")


def write_state(folder: Path, path: Path) -> None:
    """Writes the state of a run, all at once.

    Raises:
        UserError: it cannot be written.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(each for each in folder.rglob("*") if each.is_file()):
            if not any(file.match(pattern) for pattern in LEFT_OUT):
                information = zipfile.ZipInfo(file.relative_to(folder).as_posix(), DATE)
                archive.writestr(information, file.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    text = base64.b85encode(packed.getvalue()).decode()
    with whole_file(path) as temporary:
        lines = (text[start : start + WIDTH] for start in range(0, len(text), WIDTH))
        temporary.write_text("".join(f"{line}\n" for line in lines))


def restore_state(path: Path, folder: Path) -> None:
    """Makes the folder of a run from its state.

    Raises:
        UserError: it is no state.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        packed = base64.b85decode(path.read_text().replace("\n", ""))
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            archive.extractall(partial)
        partial.rename(folder)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"'{path}' is no state of a run ({error}): delete it.") from error
