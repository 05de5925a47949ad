"""The trained model, by putting weights behind a graph that lacks them.

A message of protocol buffers that follows another is merged with it, so a model of nothing but
initializers completes `model_without_weights.onnx`, and no ONNX library is needed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from svgd_onnx.errors import UserError, option
from svgd_onnx.files import whole_file
from svgd_onnx.manifest import Manifest
from svgd_onnx.targets.standard_onnx.file_names import MODEL_WITHOUT_WEIGHTS
from svgd_onnx.targets.target import Values

# Field numbers of onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_TENSOR_DIMS, _TENSOR_DATA_TYPE, _TENSOR_NAME, _TENSOR_RAW_DATA = 1, 2, 8, 9
_FLOAT = 1

# A file of protocol buffers holds no more.
_LARGEST_FILE = 2**31 - 1


def export_model(folder: Path, manifest: Manifest, value: Values, path: Path) -> None:
    """Writes the trained model.

    Args:
        folder: artifacts of the target onnx.
        manifest: theirs.
        value: that of a parameter, float32, by its name.
        path: the file to write; it is replaced all at once.

    Raises:
        UserError: the artifacts are damaged, or the file cannot be written or becomes too large.
    """
    source = folder / MODEL_WITHOUT_WEIGHTS
    if not source.is_file():
        raise UserError(f"'{folder}' has no {MODEL_WITHOUT_WEIGHTS}: convert the model again.")
    parameters = {each.name: value(each.name) for each in manifest.parameters}
    size = source.stat().st_size + sum(array.nbytes for array in parameters.values())
    if size > _LARGEST_FILE:
        raise UserError(
            f"The model has {size:,} bytes, and an ONNX file holds 2 GB: convert with "
            f"{option('target', 'ort-training')} to export it."
        )
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.write(source.read_bytes())
        for name, array in parameters.items():
            file.write(_field(_MODEL_GRAPH, _field(_GRAPH_INITIALIZER, _tensor(name, array))))


def _tensor(name: str, array: np.ndarray) -> bytes:
    dims = b"".join(_varint(_TENSOR_DIMS << 3) + _varint(size) for size in array.shape)
    return (
        dims
        + _varint(_TENSOR_DATA_TYPE << 3)
        + _varint(_FLOAT)
        + _field(_TENSOR_NAME, name.encode())
        + _field(_TENSOR_RAW_DATA, array.astype("<f4", copy=False).tobytes())
    )


def _field(number: int, content: bytes) -> bytes:
    """A field of bytes: its number with wire type 2, the length, the content."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last have the highest bit set."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
