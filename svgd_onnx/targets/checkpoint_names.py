"""Names of the checkpoints that a folder keeps beside its own: `checkpoint.step-1600.safetensors`."""

from __future__ import annotations

import re
from pathlib import Path

_CHECKPOINT = "checkpoint"
_OF_STEP = re.compile(rf"{_CHECKPOINT}\.step-(0|[1-9]\d*)(\.safetensors|\.data)?")


def name_of_step(name: str, step: int | None) -> str:
    """The name of a kept checkpoint's file.

    Args:
        name: the same file of the folder's own checkpoint.
        step: that of the kept one; None for the folder's own.
    """
    if step is None:
        return name
    return name.replace(_CHECKPOINT, f"{_CHECKPOINT}.step-{step}", 1)


def step_of(name: str) -> int | None:
    """The step of a kept checkpoint, by the name of one of its files; None if it is none of those."""
    found = _OF_STEP.fullmatch(name)
    return int(found.group(1)) if found else None


def kept_files(folder: Path) -> list[Path]:
    """The files of all kept checkpoints of a folder."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if step_of(path.name) is not None]
