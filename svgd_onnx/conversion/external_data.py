"""Tensors that lie in files beside the model: where those may be, and how much is in them.

A model names the files itself, so what it names is looked at before anything is opened. No way leads out of
the model's folder: not by `..` (CVE-2022-25882, CVE-2024-27318), not by a symbolic link, be it the file or a
folder on the way (CVE-2026-34447, CVE-2026-27489), and not by a hard link, which cannot be told from the file
that it was made of (CVE-2026-34446). What is read is a file, no device or pipe, and no more than it holds.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx

from svgd_onnx.conversion.contents import tensors
from svgd_onnx.conversion.tensor_size import size_in_bytes
from svgd_onnx.errors import UserError, option
from svgd_onnx.files import require_there

# Smaller ones are read at once: passes look into them, and may write the graph anew.
_LARGE = 1024


@dataclass(frozen=True)
class _Place:
    """Where a tensor lies.

    Attributes:
        file: that it lies in.
        offset: of its first byte.
        length: how many bytes it has.
    """

    file: Path
    offset: int
    length: int


def refuse_external_data(model: onnx.ModelProto) -> None:
    """Refuses a model in memory that names files: it comes with no folder to look for them in.

    Raises:
        UserError: names the tensor.
    """
    for tensor, name in tensors(model):
        if is_external(tensor):
            raise UserError(
                f"The tensor '{name}' of the model is in external data, which is looked for beside a file, and "
                f"this model is none: give its path, or its folder as {option('external_data')}."
            )


def check_external_data(model: onnx.ModelProto, folder: Path, source: str) -> list[Path]:
    """Checks what a model says of files beside it, and reads what is small.

    Args:
        model: that tensors are read into; large ones stay outside.
        folder: the one that the model lies in.
        source: what to call the model in a message.

    Returns:
        The files that it names, each once.

    Raises:
        UserError: a file is not there, no file, not in the folder, or may not be read; or the tensor is not
            all in it.
    """
    files: dict[Path, None] = {}
    for tensor, name in tensors(model):
        if not is_external(tensor):
            continue
        place = _place(tensor, folder, f"The tensor '{name}' of {source}")
        files[place.file] = None
        if prod(tensor.dims) < _LARGE:
            _read(tensor, place)
    return list(files)


def is_external(tensor: onnx.TensorProto) -> bool:
    """Whether a tensor lies in a file beside the model."""
    return tensor.data_location == onnx.TensorProto.EXTERNAL


def _place(tensor: onnx.TensorProto, folder: Path, name: str) -> _Place:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    file = _file(location, folder, f"{name} is in the file '{location}', ")
    length = size_in_bytes(tensor, name)
    offset = _number(entries.get("offset", "0"), "offset", name)
    given = _number(entries.get("length", str(length)), "length", name)
    if given != length:
        raise UserError(
            f"{name} has {length:,} bytes by its shape, but {given:,} in the file '{location}': export it "
            "again."
        )
    held = file.stat().st_size
    if offset + length > held:
        raise UserError(
            f"{name} ends at byte {offset + length:,} of the file '{location}', which holds {held:,}: it is "
            "cut short; copy it again."
        )
    return _Place(file, offset, length)


def _file(location: str, folder: Path, where: str) -> Path:
    """The file that a model names, if it lies in the model's folder."""
    inside = "put it beside the model, by a name in its folder"
    names = PurePosixPath(location), PureWindowsPath(location)
    if not location or any(each.anchor or ".." in each.parts for each in names):
        raise UserError(f"{where}which may lie outside of the model's folder: {inside}.")
    path = folder / location
    try:
        real, root = path.resolve(strict=True), folder.resolve(strict=True)
        status = real.stat()
    except (OSError, RuntimeError, ValueError):  # of a circle of links, of a name with a zero in it
        raise UserError(
            f"{where}which does not exist: put it where the model looks for it."
        ) from None
    if not real.is_relative_to(root):
        raise UserError(f"{where}a link that leads out of the model's folder: {inside}.")
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{where}which is no file: {inside}.")
    if status.st_nlink > 1:
        raise UserError(
            f"{where}which is a hard link, and may be any other file too: copy it, so that it is one by itself."
        )
    require_there(path)
    return path


def _number(text: str, what: str, name: str) -> int:
    """An offset or a length, as onnx writes it."""
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise UserError(
            f"{name} has the {what} '{text[:40]}' in its file, which is none: export it again."
        )
    return int(text)


def _read(tensor: onnx.TensorProto, place: _Place) -> None:
    descriptor = os.open(place.file, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        file.seek(place.offset)
        tensor.raw_data = file.read(place.length)
    del tensor.external_data[:]
    tensor.data_location = onnx.TensorProto.DEFAULT
