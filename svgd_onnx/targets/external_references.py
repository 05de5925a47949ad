"""Whether a model's file refers to other files, read without an ONNX library: those of artifacts never do.

onnxruntime would open what the file names, and what is exported would name it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from svgd_onnx.errors import UserError
from svgd_onnx.manifest import Manifest

# The key under which a tensor says where it lies, without which no runtime finds it.
_KEY = b"location"
# Bytes that are looked through at once: nothing is mapped, which may be cut short meanwhile.
_PIECE = 1 << 20

# The messages of onnx.proto that lead to tensors: field number -> message.
_TENSOR = "tensor"
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: _TENSOR, 15: "sparse"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: _TENSOR, 6: "graph", 10: _TENSOR, 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: _TENSOR, 2: _TENSOR},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14

# The wire types of protocol buffers.
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10


def checked_model(folder: Path, manifest: Manifest, name: str) -> Path:
    """The path of a model of artifacts, which is the one that was made with them and whole in itself.

    Raises:
        UserError: it is missing, another one, or refers to other files.
    """
    path = manifest.check_file(folder, name)
    refuse_external_references(path)  # of folders of format 1 no hash is known
    return path


def refuse_external_references(path: Path) -> None:
    """Refuses a model's file with a tensor in external data.

    Raises:
        UserError: it has one, or is no model.
    """
    if refers_to_files(path):
        raise UserError(
            f"'{path}' refers to other files, as no model of artifacts does, or is damaged: convert the model "
            "again."
        )


def refers_to_files(path: Path) -> bool:
    """Whether a model's file has a tensor in external data, or is no model."""
    with path.open("rb") as file:
        before = b""
        while piece := file.read(_PIECE):
            if _KEY in before + piece:
                file.seek(0)
                return _refers_to_files(memoryview(file.read()))
            before = piece[1 - len(_KEY) :]
    return False


def _refers_to_files(content: memoryview) -> bool:
    pending = [("model", 0, len(content))]
    try:
        while pending:
            message, start, end = pending.pop()
            for number, kind, first, last in _fields(content, start, end):
                if message == _TENSOR:
                    if number == _EXTERNAL_DATA or (
                        number == _DATA_LOCATION and any(content[first:last])
                    ):
                        return True
                elif kind == _BYTES and number in _FIELDS[message]:
                    pending.append((_FIELDS[message][number], first, last))
    except ValueError:
        return True
    return False


def _fields(content: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a message: number, wire type, where the value begins and ends.

    Raises:
        ValueError: it is no message.
    """
    while start < end:
        tag, start = _varint(content, start, end)
        number, kind = tag >> 3, tag & 7
        first = start
        if kind == _VARINT:
            _, start = _varint(content, start, end)
        elif kind == _BYTES:
            length, first = _varint(content, start, end)
            start = first + length
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            start += 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"wire type {kind}")
        if start > end:
            raise ValueError("a field is cut short")
        yield number, kind, first, start


def _varint(content: memoryview, start: int, end: int) -> tuple[int, int]:
    """An integer of seven bits a byte, and where it ends."""
    value = 0
    for place, byte in enumerate(content[start : min(end, start + _LONGEST_VARINT)]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, start + place + 1
    raise ValueError("an integer is cut short")
