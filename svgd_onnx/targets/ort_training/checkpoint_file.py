"""The file of the checkpoint that training starts from, written tensor by tensor.

It is what `save_checkpoint` of onnxruntime-training 1.19.2 writes: a flatbuffer, in which every reference
points forward (onnxruntime/core/flatbuffers/schema/ort_training_checkpoint.fbs). That function holds all
tensors three times; here the numbers come last, and one tensor is held at a time.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path

import onnx_ir as ir

_IDENTIFIER, _VERSION = b"ODTC", 2
# A flatbuffer ends at 2 GiB; from here on onnxruntime has the numbers in a file of their own.
_LARGEST_FILE = 1_800_000_000

# Of each kind of object: the size of this table, that of the object, where in it each field is; 0 is nowhere.
_CHECKPOINT = struct.pack("<4H", 8, 12, 4, 8)  # version, module_state
_MODULE = struct.pack(
    "<6H", 12, 16, 4, 8, 0, 12
)  # requires_grad_params, frozen_params, -, has_external_data
_TENSOR = struct.pack("<7H", 14, 20, 4, 0, 8, 12, 16)  # name, -, dims, data_type, raw_data
_EXTERNAL_TENSOR = struct.pack(
    "<9H", 18, 24, 4, 0, 8, 12, 0, 0, 16
)  # the same, -, -, external_data_offset
_ALIGNMENT = 8


def write(
    path: Path, trainable: Mapping[str, ir.TensorProtocol], others: Mapping[str, ir.TensorProtocol]
) -> None:
    """Writes tensors by name; beside the file, as `.data`, if they are too large for one.

    Args:
        path: the file to write.
        trainable: parameters with a gradient.
        others: tensors without one.

    Raises:
        OSError: the disk is full.
    """
    names, tensors = [*trainable, *others], [*trainable.values(), *others.values()]
    external = sum(tensor.nbytes for tensor in tensors) > _LARGEST_FILE
    head = _Head(external)
    objects = [*head.objects(4, len(trainable)), *head.objects(8, len(others))]
    for place, name, tensor in zip(objects, names, tensors):
        head.describe(place, name, tensor)
    head.align()
    length = 0 if external else 4  # stands before the numbers
    sizes = [_aligned(length + tensor.nbytes) for tensor in tensors]
    for place, start in zip(objects, accumulate(sizes, initial=0)):
        head.locate(place, start)
    with path.open("wb") as file:
        file.write(head.content)
        if not external:
            for tensor, size in zip(tensors, sizes):
                file.write(struct.pack("<I", tensor.nbytes))
                file.write(_numbers(tensor).ljust(size - length, b"\0"))
    if external:
        with path.with_name(f"{path.name}.data").open("wb") as file:
            for tensor, size in zip(tensors, sizes):
                file.write(_numbers(tensor).ljust(size, b"\0"))


def _numbers(tensor: ir.TensorProtocol) -> bytes:
    content = tensor.tobytes()
    if isinstance(tensor, ir.ExternalTensor):
        with contextlib.suppress(BufferError):  # an array still reads it
            tensor.release()  # the pages of the user's file
    return content


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


class _Head:
    """All of the file but the numbers: objects, names and shapes.

    Args:
        external: whether the numbers are in a file of their own.
    """

    def __init__(self, external: bool) -> None:
        self.content = bytearray(struct.pack("<I4s", 0, _IDENTIFIER))
        self._external = external
        self._tensor = _EXTERNAL_TENSOR if external else _TENSOR
        kinds = (_CHECKPOINT, _MODULE, self._tensor)
        self._fields = {kind: self._append(kind) for kind in kinds}
        root = self._object(_CHECKPOINT)
        self._refer(0, root)
        struct.pack_into("<i", self.content, root + 4, _VERSION)
        self._module = self._object(_MODULE)
        self._refer(root + 8, self._module)
        self.content[self._module + 12] = external

    def objects(self, field: int, count: int) -> list[int]:
        """New objects for tensors, to which one of the module's fields refers."""
        vector = self._append(struct.pack(f"<I{count}I", count, *[0] * count))
        self._refer(self._module + field, vector)
        places = [self._object(self._tensor) for _ in range(count)]
        for index, place in enumerate(places):
            self._refer(vector + 4 + 4 * index, place)
        return places

    def describe(self, place: int, name: str, tensor: ir.TensorProtocol) -> None:
        """Writes a tensor's name, shape and type into its object."""
        text = name.encode()
        self._refer(place + 4, self._append(struct.pack("<I", len(text)) + text + b"\0"))
        self.align()
        self.content.extend(bytes(4))  # the sizes begin after their number, and are aligned
        sizes = [int(size) for size in tensor.shape.numpy()]
        self._refer(place + 8, self._append(struct.pack(f"<I{len(sizes)}q", len(sizes), *sizes)))
        struct.pack_into("<i", self.content, place + 12, tensor.dtype.value)

    def locate(self, place: int, start: int) -> None:
        """Writes into a tensor's object where its numbers are, counted from the end of the head."""
        if self._external:
            struct.pack_into("<q", self.content, place + 16, start)
        else:
            self._refer(place + 16, len(self.content) + start)

    def align(self) -> None:
        """Goes on at a multiple of eight bytes."""
        self.content.extend(bytes(_aligned(len(self.content)) - len(self.content)))

    def _object(self, kind: bytes) -> int:
        """A new object of zeros, which says where the table of its fields is."""
        self.align()
        _, size = struct.unpack_from("<2H", kind)
        place = self._append(bytes(size))
        struct.pack_into("<i", self.content, place, place - self._fields[kind])
        return place

    def _append(self, content: bytes) -> int:
        self.content.extend(bytes(-len(self.content) % 4))
        self.content.extend(content)
        return len(self.content) - len(content)

    def _refer(self, at: int, place: int) -> None:
        """Writes how far ahead a place is."""
        struct.pack_into("<I", self.content, at, place - at)
