"""Reads TensorBoard's event files without any code that writes them: records, checksums, protobuf by hand."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

Points = dict[str, list[tuple[int, float]]]


def points(folder: Path, is_read: Callable[[str], bool] = lambda name: True) -> Points:
    """Steps and values by tag, in the order of the files' names and of their records.

    Args:
        folder: of event files.
        is_read: which of the files there, by name; the others are passed over.
    """
    found: Points = defaultdict(list)
    for file in sorted(file for file in folder.iterdir() if is_read(file.name)):
        assert "tfevents" in file.name  # by which TensorBoard knows them
        for record in records(file.read_bytes()):
            event = dict(fields(record))
            step = event.get(2, 0)
            for number, value in fields(event.get(5, b"")):
                assert number == 1
                content = dict(fields(value))
                if 2 in content:
                    found[content[1].decode()].append((step, content[2]))
    return dict(found)


def records(content: bytes) -> Iterator[bytes]:
    """The records of a file, each with right checksums; none is cut."""
    while content:
        length, of_length = struct.unpack("<QI", content[:12])
        record, content = content[12 : 12 + length], content[12 + length :]
        (of_record,) = struct.unpack("<I", content[:4])
        content = content[4:]
        assert of_length == masked_checksum(struct.pack("<Q", length))
        assert of_record == masked_checksum(record)
        yield record


def masked_checksum(content: bytes) -> int:
    """CRC-32C, bit by bit, masked as TensorFlow's records have it."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def fields(message: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Numbers and values of a protobuf message's fields: int, float (of 4 and 8 bytes), or bytes."""
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = varint(message, at)
            yield number, value
        elif kind == 2:
            length, at = varint(message, at)
            yield number, message[at : at + length]
            at += length
        else:
            size, form = {1: (8, "<d"), 5: (4, "<f")}[kind]
            yield number, struct.unpack(form, message[at : at + size])[0]
            at += size


def varint(message: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
