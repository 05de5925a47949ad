"""What the commands that look into a model print of memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from svgd_onnx.conversion.memory.estimate import LARGEST_BATCH, MemoryEstimate, estimate_memory
from svgd_onnx.errors import UserError, option
from svgd_onnx.manifest import Manifest
from svgd_onnx.terminal import add_row, result, say, show

_BATCHES = (1, 8, 32, 128)
_LIMIT = re.compile(r"(\d{1,18}(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_limit(text: str | None) -> int | None:
    """Bytes: "4GB", "512 MB" (powers of 1000), "4GiB" (of 1024), "4000000000".

    Raises:
        UserError: it is written otherwise.
    """
    if text is None:
        return None
    found = _LIMIT.fullmatch(text.strip())
    if found is None:
        raise UserError(
            f"{option('memory_limit')} is '{text}', which is no size: write it as 4GB or 512MB."
        )
    number, unit, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** _POWERS[unit.lower()])


def show_memory(
    memory: MemoryEstimate | None, unknown: UserError | None, limit: int | None
) -> None:
    """A table of the memory by the batch, and the largest batch that fits.

    Args:
        memory: the estimate.
        unknown: why there is none.
        limit: bytes that training may take.
    """
    if memory is None:
        _tell(None, unknown)
        if unknown is not None:
            say(unknown.on_command_line())
        return
    told = _told(memory, limit)
    table = Table(title=f"memory of training, with {told.kernels} kernels on the processor")
    for column in ("examples a step", "MB, about"):
        table.add_column(column, justify="right")
    for size, taken in told.bytes.items():
        add_row(table, str(size), _megabytes(taken))
    show(table)
    if limit is not None:
        _show_largest(told, limit)


def say_memory_of(
    folder: Path, manifest: Manifest, sizes: Mapping[str, int], limit: int | None
) -> None:
    """In a sentence, of a folder of artifacts, or why it is not known."""
    try:
        memory = estimate_memory(folder, manifest, sizes)
    except UserError as error:
        _tell(None, error)
        say(error.on_command_line())
        return
    told = _told(memory, limit)
    taken = ", ".join(map(_megabytes, told.bytes.values()))
    counts = ", ".join(map(str, told.bytes))
    say(
        f"Training takes about {taken} MB for {counts} examples a step, with {told.kernels} kernels."
    )
    if limit is not None:
        _show_largest(told, limit)


@dataclass(frozen=True)
class _Told:
    """What is told of an estimate, as --json has it: bytes by the batch, and the largest that fits."""

    kernels: str
    bytes: Mapping[int, int]
    largest_batch: int | None


def _told(memory: MemoryEstimate, limit: int | None) -> _Told:
    """What is told of an estimate, which is computed once; --json has it from here on."""
    batches = _BATCHES if memory.batch_size is None else (memory.batch_size,)
    told = _Told(
        kernels=memory.kernels,
        bytes={size: memory.nbytes(size) for size in batches},
        largest_batch=None if limit is None else memory.largest_batch(limit),
    )
    _tell(told, None)
    return told


def _tell(told: _Told | None, unknown: UserError | None) -> None:
    """For --json: what is known of memory, or why nothing is."""
    result(memory=told, memory_unknown=None if unknown is None else unknown.on_command_line())


def _show_largest(told: _Told, limit: int) -> None:
    """The largest batch that fits."""
    most = "or more" if (told.largest_batch or 0) >= LARGEST_BATCH else "are the most that"
    within = f"within {_megabytes(limit)} MB"
    least, taken = next(iter(told.bytes.items()))
    say(
        f"{told.largest_batch:,} examples a step {most} fit {within}."
        if told.largest_batch
        else f"No step fits {within}: even of {least} it takes {_megabytes(taken)} MB."
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f}"
