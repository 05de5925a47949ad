"""What the commands that look into a model print of memory."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from svgd_onnx.conversion.memory.estimate import MemoryEstimate, estimate_memory
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
    _tell(memory, unknown, limit)
    if memory is None:
        if unknown is not None:
            say(unknown.on_command_line())
        return
    sizes = _sizes(memory)
    table = Table(title=f"memory of training, with {memory.kernels} kernels on the processor")
    for column in ("examples a step", "MB, about"):
        table.add_column(column, justify="right")
    for size in sizes:
        add_row(table, str(size), f"{memory.nbytes(size) / 1e6:,.1f}")
    show(table)
    if limit is not None:
        _show_largest(memory, limit)


def _show_largest(memory: MemoryEstimate, limit: int) -> None:
    """The largest batch that fits."""
    sizes = _sizes(memory)
    most = memory.largest_batch(limit)
    within = f"within {limit / 1e6:,.1f} MB"
    say(
        f"{most:,} examples a step are the most that fit {within}."
        if most
        else f"No step fits {within}: even of {sizes[0]} it takes {memory.nbytes(sizes[0]) / 1e6:,.1f} MB."
    )


def say_memory_of(
    folder: Path, manifest: Manifest, sizes: Mapping[str, int], limit: int | None
) -> None:
    """In a sentence, of a folder of artifacts; what is not known is only said where a limit is given."""
    try:
        memory = estimate_memory(folder, manifest, sizes)
    except UserError as error:
        _tell(None, error, limit)
        if limit is not None:
            say(error.on_command_line())
        return
    _tell(memory, None, limit)
    batches = _sizes(memory)
    taken = ", ".join(f"{memory.nbytes(size) / 1e6:,.1f}" for size in batches)
    counts = ", ".join(map(str, batches))
    say(
        f"Training takes about {taken} MB for {counts} examples a step, with {memory.kernels} kernels."
    )
    if limit is not None:
        _show_largest(memory, limit)


def _tell(memory: MemoryEstimate | None, unknown: UserError | None, limit: int | None) -> None:
    """For --json: bytes by the batch, the largest that fits, and why there is no estimate."""
    facts = None
    if memory is not None:
        facts = {
            "kernels": memory.kernels,
            "bytes": {size: memory.nbytes(size) for size in _sizes(memory)},
            "largest_batch": None if limit is None else memory.largest_batch(limit),
        }
    result(memory=facts, memory_unknown=None if unknown is None else unknown.on_command_line())


def _sizes(memory: MemoryEstimate) -> Sequence[int]:
    """The batches to show."""
    return _BATCHES if memory.batch_size is None else (memory.batch_size,)
