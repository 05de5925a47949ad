"""--config: a TOML file with a table for each command, in which options stand by their names.

    [convert]
    model = "model.onnx"
    output = "artifacts"
    freeze = ["stem.*"]

    [train]
    folder = "artifacts"
    data = "train.npz"
    batch-size = 32

What is known of an option is asked of the command: nothing here names one, but for those that stand for
each other.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from svgd_onnx.errors import Advice, UserError, first_line, listed
from svgd_onnx.files import require_file
from svgd_onnx.hashes import sha256
from svgd_onnx.option_types import text_of_parts, text_or_numbers

COMMANDS = (
    "convert",
    "train",
    "evaluate",
    "predict",
    "export",
    "plot",
    "federate",
    "apply",
    "inspect",
    "check",
)
RECORD = "record"
"""A table beside those of commands: what a run was made with, which is no option."""
HASHED_BYTES = 1 << 30
"""The largest file whose SHA-256 is taken, in about a second."""
SHA256 = "sha256"
"""A table in that of a command there: digests of the files that it read, by the options that name them; of one
that may be given several times a table of them by path."""

_MOST = (1 << 64) - 1

# Bytes of a file: one comes with artifacts, which may be anybody's.
_LARGEST = 1 << 20
# Tables within each other.
_DEEPEST = 32
# A key takes tomllib time by the square of its parts; of all lines together, this is about 3 s.
_SQUARES = 10**8

# Options that are paths among other things.
_PATHS = frozenset({"checkpoint", "config", "data", "validation"})

# Options of which one is given: what the command line says of one takes the place of another in the file.
_INSTEAD_OF_EACH_OTHER = ({"epochs", "steps"},)


@dataclass(frozen=True)
class _Kind:
    """What an option takes in TOML: in words, and as Python has it."""

    words: str
    types: tuple[type, ...]

    def takes(self, value: object) -> bool:
        """Whether a value is of this kind; true is no number here."""
        return isinstance(value, self.types) and (bool in self.types or not isinstance(value, bool))


_TEXT = _Kind("a string", (str,))
_WHOLE, _NUMBER = _Kind("a whole number", (int,)), _Kind("a number", (int, float))
_TRUTH = _Kind("true or false", (bool,))
# By the names that click and typer give to types; all others are written as strings.
_KINDS = {
    "int": _WHOLE,
    "integer": _WHOLE,
    "int range": _WHOLE,
    "integer range": _WHOLE,
    "float": _NUMBER,
    "float range": _NUMBER,
    "boolean": _TRUTH,
    "bool": _TRUTH,
}


def values_of(
    tables: dict[str, Any], path: Path, command: Any, given: Collection[str]
) -> dict[str, Any]:
    """What a file says of a command: values by the names of its parameters.

    Args:
        tables: of the file, as `load` gives them.
        path: the file.
        command: the command, as click has it.
        given: parameters that the command line says; what the file says of them is left out.

    Raises:
        UserError: the file has no table for the command, or has in it what is no option of the command, or is
            of another type.
    """
    table = tables.get(command.name)
    if table is None:
        has = listed(f"[{each}]" for each in tables) or "none"
        raise UserError(
            f"'{path}' has no table [{command.name}]: put the options of {command.name} into one "
            f"(what it has: {has})."
        )
    values: dict[str, Any] = {}
    written_as: dict[str, str] = {}
    for key, value in table.items():
        place = f"[{command.name}] of '{path}' has '{key}'"
        parameter = _parameter(command, key, place)
        if parameter.name in values:
            raise UserError(
                f"{place} and '{written_as[parameter.name]}', which are one option: leave one out."
            )
        values[parameter.name] = taken = _value(parameter, value, place)
        if is_empty_path(parameter, taken):
            raise UserError(f"{place} = '', which is no path: give one.")
        written_as[parameter.name] = key
    for group in _INSTEAD_OF_EACH_OTHER:
        if group.intersection(given):
            values = {name: value for name, value in values.items() if name not in group}
    held = {name: value for name, value in values.items() if name not in given}
    _compare_files(path, tables, command, held)
    return held


def load(path: Path) -> dict[str, Any]:
    """The tables of a file.

    Raises:
        UserError: it cannot be read, is no TOML, or has anything beside tables of commands.
    """
    try:
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib
        with require_file(path).open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST >> 20} MiB")
        text = content.decode("utf-8")
        if sum(line.count(".") ** 2 for line in text.split("\n")) > _SQUARES:
            raise ValueError("a line in it has thousands of dots")
        tables: dict[str, Any] = tomllib.loads(text)
    except (
        OSError,
        ValueError,
        RecursionError,
    ) as error:  # of TOML, and of UTF-8, they are ValueErrors
        reason = error.strerror if isinstance(error, OSError) else None
        raise UserError(f"'{path}' cannot be read ({reason or first_line(error)}).") from error
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise UserError(
                f"'{path}' has '{name}' outside of a table: put it under that of its command, as [train]."
            )
        if name not in (*COMMANDS, RECORD):
            nearest = _nearest(name, COMMANDS)
            raise UserError(f"'{path}' has a table [{name}], which is no command{nearest}.")
        _check_values(path, name, table)
    return tables


def _check_values(path: Path, name: str, value: Any, depth: int = 0) -> None:
    """Refuses what no command line can hold.

    Raises:
        UserError: an integer of more than 64 bits, a string with the character 0, or tables deep within each
            other.
    """
    if depth > _DEEPEST:
        raise UserError(
            f"'{path}' has tables or lists more than {_DEEPEST} deep within each other: leave out '{name}'."
        )
    if isinstance(value, Mapping):
        for key, each in value.items():
            _check_values(path, key, each, depth + 1)
    elif isinstance(value, list):
        for each in value:
            _check_values(path, name, each, depth + 1)
    elif isinstance(value, int) and not -_MOST <= value <= _MOST:
        raise UserError(
            f"'{path}' has an integer of more than 64 bits as '{name}': give a smaller one."
        )
    elif isinstance(value, str) and "\0" in value:
        raise UserError(f"'{path}' has a character 0 in '{name}': leave it out.")


def parameters_by_key(command: Any) -> dict[str, Any]:
    """A command's parameters by all that they may be called in a file, words joined by dashes."""
    return {
        spelled(name): each
        for each in command.params
        if each.expose_value
        for name in keys_of(each)
    }


def keys_of(parameter: Any) -> Iterator[str]:
    """How a parameter may be called in a file, first as it is written there: without dashes in front."""
    if parameter.param_type_name == "argument":
        yield parameter.name
        return
    for flag in sorted(parameter.opts, key=len, reverse=True):
        if flag.startswith("--"):
            yield flag.removeprefix("--")
    yield parameter.name


def spelled(key: str) -> str:
    """A name as `parameters_by_key` has it."""
    return key.replace("_", "-")


def takes_files(parameter: Any) -> bool:
    """Whether a parameter is the path of a file or a folder."""
    return parameter.type.name in ("path", "file", "filename", "directory")


def is_empty_path(parameter: Any, value: Any) -> bool:
    """Whether a parameter that is a path, or several, is given one of no characters: the current folder."""
    values = value if isinstance(value, list | tuple) else [value]
    return "" in values and (takes_files(parameter) or parameter.name in _PATHS)


def file_in(value: object) -> tuple[str, Path, str] | None:
    """The file that a value names: what stands before it (OUTPUT=FILE), itself, and behind it (FILE:WEIGHT)."""
    if _is_file(value):
        return "", Path(str(value)), ""
    if not isinstance(value, str):
        return None
    output, equals, rest = value.rpartition("=")
    file, colon, weight = rest.rpartition(":")
    for path, behind in ((rest, ""), (file, colon + weight)):
        if equals and _is_file(path):
            return f"{output}=", Path(path), behind
    return None


def files_in(value: object) -> list[Path]:
    """The files that the value of an option, which may be given several times, names."""
    items = value if isinstance(value, list | tuple) else [value]
    return [found[1] for found in map(file_in, items) if found is not None]


def _is_file(value: object) -> bool:
    """Whether a value, which may also be something else, names a file."""
    if not isinstance(value, str | Path) or not Path(value).suffix:
        return False
    try:
        return Path(value).is_file()
    except (OSError, ValueError):
        return False


def is_hashed(path: Path) -> bool:
    """Whether the SHA-256 of a path is taken: of a file that is not too large."""
    return path.is_file() and path.stat().st_size <= HASHED_BYTES


def _parameter(command: Any, key: str, place: str) -> Any:
    by_key = parameters_by_key(command)
    if spelled(key) not in by_key:
        positive = by_key.get(spelled(key).removeprefix("no-"))
        if positive is not None and spelled(f"--{key}") in positive.secondary_opts:
            name = next(keys_of(positive))
            raise UserError(f"{place}, which is written as {name} = false here.")
        if any(spelled(f"--{key}") in each.opts for each in command.params):
            raise UserError(f"{place}, which is given on the command line alone.")
        nearest = _nearest(spelled(key), by_key)
        raise UserError(f"{place}, which is no option of {command.name}{nearest}.")
    return by_key[spelled(key)]


def _nearest(name: str, names: Collection[str]) -> str:
    found = get_close_matches(name, names, 1, 0.5)
    return f"; the nearest is '{found[0]}'" if found else ""


def _value(parameter: Any, value: Any, place: str) -> Any:
    """A value as the command takes it from its command line."""
    kind = (
        _TRUTH if getattr(parameter, "is_flag", False) else _KINDS.get(parameter.type.name, _TEXT)
    )
    several = parameter.multiple or parameter.nargs != 1
    if parameter.type.name == text_or_numbers.__name__:
        if _NUMBER.takes(value):
            value = [str(value)] if several else str(value)
        elif several and _is_of_numbers(value):  # one value of it, in its parts
            value = [",".join(map(str, value))]
    if several:
        if isinstance(value, str) and parameter.type.name == text_of_parts.__name__:
            return [value]
        if not (isinstance(value, list) and all(map(kind.takes, value))):
            raise UserError(f"{place} = {_shown(value)}, but it must be a list, each {kind.words}.")
        return value
    if isinstance(value, list) and parameter.type.name == text_of_parts.__name__:
        if all(map(_Kind("", (str, int, float)).takes, value)):
            return ",".join(map(str, value))
        raise UserError(f"{place} = {_shown(value)}, but it must be a list of strings or numbers.")
    if not kind.takes(value):
        raise UserError(f"{place} = {_shown(value)}, but it must be {kind.words}.")
    return value


def _is_of_numbers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_NUMBER.takes, value))


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _compare_files(
    path: Path, tables: dict[str, Any], command: Any, values: dict[str, Any]
) -> None:
    """Warns of files that are not those which a record tells of; a file written by hand has none."""
    hashes: Any = tables
    for name in (RECORD, command.name, SHA256):
        hashes = hashes.get(name, {}) if isinstance(hashes, dict) else {}
    parameters = parameters_by_key(command)
    for key, digest in hashes.items() if isinstance(hashes, dict) else ():
        parameter = parameters.get(spelled(key))
        for file in files_in(None if parameter is None else values.get(parameter.name)):
            told = digest.get(str(file), "") if isinstance(digest, dict) else digest
            if told and is_hashed(file) and sha256(file) != told:
                warnings.warn(
                    Advice(
                        f"'{file}' is not the file that '{path}' tells of: its SHA-256 is another."
                    ),
                    stacklevel=2,
                )
