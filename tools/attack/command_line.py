"""The command line, run within a process that is there for it alone."""

from __future__ import annotations

import contextlib
import importlib
import traceback
from collections.abc import Iterable

from svgd_onnx import cli  # noqa: F401: what is begun from this process has it

FAULT = 70
"""The exit code of what ends in a traceback, which none of the program's own is."""


def exit_code() -> int:
    """Runs what `sys.argv` says; a traceback goes to stderr."""
    from svgd_onnx.__main__ import main  # which listens to signals from then on

    try:
        main()
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
    except BaseException:
        traceback.print_exc()
        return FAULT
    return 0


def import_all(modules: Iterable[str]) -> None:
    """Imports what a command had imported, so that those begun from this process have it.

    But not that which listens to signals.
    """
    for name in modules:
        if name not in ("__main__", "svgd_onnx.__main__"):
            with contextlib.suppress(ImportError):  # of modules that stand in for others
                importlib.import_module(name)
