"""What the commands write to the terminal: text is shown as it stands, and is no markup.

A command tells what it did twice: in sentences and tables (`say`, `show`), and as facts by name (`result`). By
default the former are written; with --json one JSON object of the latter, with --quiet nothing. Mistakes are
said in each case (`complain`).
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import sys
from collections.abc import Mapping
from enum import Enum
from os import PathLike
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from svgd_onnx.distributed.job import has_terminal
from svgd_onnx.printable import printable
from svgd_onnx.standard_streams import guard

# Beside a terminal, as in a pipe, tables are as wide as they need to be.
_WIDE = 140


class Form(Enum):
    """How a command tells what it did."""

    TEXT = "text"
    JSON = "json"
    QUIET = "quiet"


_form = Form.TEXT
_result: dict[str, Any] = {}
_warnings: list[str] = []


def prepare() -> None:
    """Lets the streams show any character, and what other libraries log be theirs: it has raw names in it."""
    guard()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    logging.getLogger().addHandler(logging.NullHandler())
    use(Form.TEXT)


def use(form: Form) -> None:
    """How this command is to tell what it does, from here on."""
    global _form
    _form = form
    _result.clear()
    _warnings.clear()


def shows_text() -> bool:
    """Whether sentences, tables and bars are shown."""
    return _form is Form.TEXT


def shows_bars() -> bool:
    """Whether bars are shown that are gone at the end."""
    return shows_text() and has_terminal()


def say(text: str) -> None:
    """A line."""
    if shows_text():
        Console(soft_wrap=True, force_terminal=_forced()).print(
            printable(text), markup=False, emoji=False
        )


def complain(text: str) -> None:
    """A line on stderr, after the program's name."""
    print(f"svgd-onnx: {printable(text)}", file=sys.stderr)


def warn(text: str) -> None:
    """A line on stderr that is no mistake: not with --quiet, and in the JSON object too."""
    _warnings.append(printable(text))
    if _form is not Form.QUIET:
        complain(text)


def add_row(table: Table, *cells: str) -> None:
    """A row of a table."""
    table.add_row(*(Text(printable(cell)) for cell in cells))


def show(table: Table) -> None:
    """A table."""
    if shows_text():
        width = None if has_terminal() else _WIDE
        Console(width=width, emoji=False, force_terminal=_forced()).print(table)


def _forced() -> bool | None:
    """No escape codes where nobody sits; else as rich finds it."""
    return None if has_terminal() else False


def result(**facts: Any) -> None:
    """What the command did, by name: numbers, arrays, texts, paths, dataclasses, lists and mappings."""
    _result.update(facts)


def finish() -> None:
    """The end of a command: with --json, its one object; all in ASCII, so no terminal obeys what is in it."""
    if _form is Form.JSON:
        print(json.dumps(_plain({**_result, "warnings": _warnings}), allow_nan=False))


def _plain(value: Any) -> Any:
    """A value as JSON has it: a number that is not finite is null, as JSON has no other word for it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value]
    if isinstance(value, PathLike):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy's: a number, or a table of them
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
