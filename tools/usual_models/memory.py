"""Resident memory of this process, as Linux counts it."""

from __future__ import annotations

from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def resident() -> int:
    """Bytes that are resident now."""
    return _field("VmRSS")


def own() -> int:
    """Bytes of them that are no pages of files."""
    return _field("RssAnon")


def forget_peak() -> None:
    """Lets the peak begin anew at what is resident now."""
    _CLEAR.write_text("5")


def peak() -> int:
    """The most bytes that were resident since."""
    return _field("VmHWM")


def _field(name: str) -> int:
    lines = _STATUS.read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
