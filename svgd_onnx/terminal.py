"""What the commands write to the terminal: text is shown as it stands, and is no markup."""

from __future__ import annotations

import logging
import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from svgd_onnx.printable import printable

# Beside a terminal, as in a pipe, tables are as wide as they need to be.
_WIDE = 140


def prepare() -> None:
    """Lets the streams show any character, and what other libraries log be theirs: it has raw names in it."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    logging.getLogger().addHandler(logging.NullHandler())


def say(text: str) -> None:
    """A line."""
    Console(soft_wrap=True).print(printable(text), markup=False, emoji=False)


def complain(text: str) -> None:
    """A line on stderr, after the program's name."""
    print(f"svgd-onnx: {printable(text)}", file=sys.stderr)


def add_row(table: Table, *cells: str) -> None:
    """A row of a table."""
    table.add_row(*(Text(printable(cell)) for cell in cells))


def show(table: Table) -> None:
    """A table."""
    Console(width=None if sys.stdout.isatty() else _WIDE, emoji=False).print(table)
