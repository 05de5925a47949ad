"""A benchmark's table, printed and kept as JSON."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from rich.console import Console
from rich.table import Table


def report(
    title: str, rows: Sequence[Mapping[str, Any]], output: Path | None, caption: str = ""
) -> None:
    """Prints rows of the same columns as a table; writes them to `output`, with the machine's data.

    Floats are printed with one or two decimals; the file has them in full.
    """
    table = Table(title=title, title_justify="left", caption=caption, caption_justify="left")
    for name, value in rows[0].items():
        table.add_column(name, justify="left" if isinstance(value, str) else "right")
    for row in rows:
        table.add_row(*map(_text, row.values()))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        content = {"title": title, "machine": machine(), "rows": list(rows)}
        output.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) < 100 else f"{value:,.1f}"
    return "" if value is None else str(value)
