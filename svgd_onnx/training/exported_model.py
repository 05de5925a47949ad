"""The trained model, by putting weights behind a graph that lacks them.

A message of protocol buffers that follows another is merged with it, so a model of nothing but
initializers completes `model_without_weights.onnx`, and no ONNX library is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from svgd_onnx.files import whole_file
from svgd_onnx.manifest import Manifest, Parameter
from svgd_onnx.targets.external_references import checked_model
from svgd_onnx.targets.target import (
    MERGED_MODEL_WITHOUT_WEIGHTS,
    MODEL_WITHOUT_WEIGHTS,
    Values,
)
from svgd_onnx.training.adapters import merged, takes_in_adapters
from svgd_onnx.training.finite import without_nan
from svgd_onnx.training.requantize import requantized
from svgd_onnx.training.stored_types import stored

# Field numbers of onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_TENSOR_DIMS, _TENSOR_DATA_TYPE, _TENSOR_NAME, _TENSOR_RAW_DATA = 1, 2, 8, 9
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 13, 14
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_EXTERNAL = 1
DATA_TYPES = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "float16": 10,
    "bfloat16": 16,
}

# A file of protocol buffers holds 2 GiB; the graph itself needs some room too.
_LARGEST_FILE = 1_900_000_000

# From a tensor's bytes to the fields that say where they are.
_Place = Callable[[bytes], bytes]
# A tensor's name, element type and numbers.
Named = tuple[str, str, np.ndarray]


def write_model(
    folder: Path,
    manifest: Manifest,
    value: Values,
    path: Path,
    *,
    requantize: bool = False,
    trained: bool = False,
) -> None:
    """Writes the trained model, all at once.

    Args:
        folder: training artifacts.
        manifest: theirs.
        value: that of a tensor of the checkpoint, float32, by its name.
        path: the file to write. Of more than 1.9 GB, the parameters go into a second file, of the same
            name and `.data` after it.
        requantize: whether scales of quantized weights are found anew.
        trained: whether parameters that have an average are written as they were trained.

    Raises:
        UserError: no scale can be found anew, the artifacts are damaged, a trained value is NaN or does not
            fit into the type that the model has it in, or the file cannot be written.
    """
    name = MODEL_WITHOUT_WEIGHTS
    if requantize and takes_in_adapters(manifest):
        name = MERGED_MODEL_WITHOUT_WEIGHTS
    source = checked_model(folder, manifest, name)
    value = value if trained else averaged(manifest, value)
    parameters, value = merged(manifest, value, requantize=requantize)
    if requantize:
        parameters = requantized(parameters, value)
    with whole_file(path) as temporary:
        temporary.write_bytes(source.read_bytes())
        size = sum(each.nbytes for each in manifest.parameters)
        complete(temporary, path, _tensors(parameters, value), size)


def complete(temporary: Path, path: Path, tensors: Iterable[Named], size: int) -> None:
    """Puts tensors behind a model that lacks them.

    Args:
        temporary: the model's file, of `whole_file`.
        path: what it will be called.
        tensors: name, element type (a key of `DATA_TYPES`) and little-endian numbers of each.
        size: of all of them in bytes, or a little more.
    """
    size += temporary.stat().st_size
    with temporary.open("ab") as file:
        if size < _LARGEST_FILE:
            _write(file, tensors, lambda content: _field(_TENSOR_RAW_DATA, content))
            return
        with temporary.with_name(f"{temporary.name}.data").open("wb") as data:
            _write(file, tensors, lambda content: _outside(content, data, path))


def averaged(manifest: Manifest, value: Values) -> Values:
    """The averages of parameters that have one, and the others as they are."""
    averages = manifest.averages
    return lambda name: value(averages.get(name, name))


def _tensors(parameters: Sequence[Parameter], value: Values) -> Iterator[Named]:
    for each in parameters:
        numbers = value(each.name)
        if each.trainable:
            without_nan(each.name, numbers)
        yield each.name, each.stored_as, stored(numbers, each)
        how = each.quantization
        if how is not None and how.scale_name is not None:
            scale = np.array(how.scale, "<f4").reshape(how.scale_shape)
            yield how.scale_name, "float32", scale


def _write(file: BinaryIO, tensors: Iterable[Named], place: _Place) -> None:
    for name, dtype, numbers in tensors:
        file.write(_initializer(name, dtype, numbers, place))


def _initializer(name: str, dtype: str, numbers: np.ndarray, place: _Place) -> bytes:
    """A model that holds one initializer and nothing else."""
    tensor = (
        b"".join(_integer(_TENSOR_DIMS, size) for size in numbers.shape)
        + _integer(_TENSOR_DATA_TYPE, DATA_TYPES[dtype])
        + _field(_TENSOR_NAME, name.encode())
        + place(numbers.tobytes())
    )
    return _field(_MODEL_GRAPH, _field(_GRAPH_INITIALIZER, tensor))


def _outside(content: bytes, data: BinaryIO, path: Path) -> bytes:
    """Puts a tensor into the second file, which the model calls by its final name."""
    place = {"location": f"{path.name}.data", "offset": data.tell(), "length": len(content)}
    data.write(content)
    return _entries(place) + _integer(_TENSOR_DATA_LOCATION, _EXTERNAL)


def _entries(items: Mapping[str, object]) -> bytes:
    return b"".join(
        _field(
            _TENSOR_EXTERNAL_DATA,
            _field(_ENTRY_KEY, key.encode()) + _field(_ENTRY_VALUE, str(value).encode()),
        )
        for key, value in items.items()
    )


def _integer(number: int, value: int) -> bytes:
    """A field of an integer: its number with wire type 0, the integer."""
    return _varint(number << 3) + _varint(value)


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
