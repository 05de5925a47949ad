"""The shim: compiled, loaded before this process's C library, and armed."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

COUNT, KILL, FAIL_ONCE, FAIL_ALL_WRITES = range(4)

_LOADED = "SVGD_ATTACK_SHIM"


def load() -> None:
    """Starts this program again with the shim in it, unless it is."""
    if _LOADED in os.environ:
        return
    library = Path(__file__).parents[3] / "build" / "attack" / "shim.so"
    library.parent.mkdir(parents=True, exist_ok=True)
    source = Path(__file__).with_suffix(".c")
    command = ["cc", "-shared", "-fPIC", "-O2", "-w", "-o", library, source, "-ldl"]
    subprocess.run(command, check=True)
    environment = {**os.environ, "LD_PRELOAD": str(library), _LOADED: str(library)}
    arguments = [sys.executable, "-m", "tools.attack.kill", *sys.argv[1:]]
    os.execve(sys.executable, arguments, environment)


def arm(folder: Path, event: int, action: int, error: int = 0) -> None:
    """From here on this process's events under a folder count, and something comes at one of them."""
    _library().attack_arm(os.fsencode(folder), event, action, error)


def events() -> int:
    """How many there were since."""
    count: int = _library().attack_events()
    return count


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(os.environ[_LOADED])
