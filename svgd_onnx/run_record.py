"""`run.toml` in a folder of artifacts: the --config by which `convert` and `train` do again what they did."""

from __future__ import annotations

import json
import platform
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from svgd_onnx import run_config
from svgd_onnx.errors import Advice, UserError
from svgd_onnx.files import whole_file
from svgd_onnx.hashes import sha256
from svgd_onnx.run_config import (
    RECORD,
    SHA256,
    file_in,
    files_in,
    is_hashed,
    keys_of,
    parameters_by_key,
    spelled,
    takes_files,
)
from svgd_onnx.runtime import installed_packages
from svgd_onnx.targets.artifact_files import RUN_FILE
from svgd_onnx.version import __version__

# What is of one call, and no part of what is repeated.
_OF_ONE_CALL = {"force", "resume", "restart", "verbose"}
# What a resumed run may have another value of, and be the same run.
_LENGTH = {"epochs", "steps"}


def record(
    context: Any,
    folder: Path,
    *,
    within: Path | None = None,
    written: Collection[str] = (),
    **settled: Any,
) -> Path | None:
    """Writes into a folder what the command that runs is told, so that it can be done again.

    Paths are absolute. Of files that are read and not larger than 1 GiB the SHA-256 is written beside it, with
    versions. The other tables of the file are those that were there, or, in a new folder, those of --config.

    Args:
        context: the command's, as click has it.
        folder: of artifacts; nobody else writes there.
        within: the folder that is to be that one, before it has its place; None if it is there.
        written: options that name files which the command writes.
        settled: what was chosen for options that were not given, by name.

    Returns:
        The file; None if it could not be written, of which a warning speaks.
    """
    path, command = folder / RUN_FILE, context.command
    place = path if within is None else within / RUN_FILE
    values = {**context.params, **settled}
    tables = _before(place, folder, context)
    table = dict(_entries(command, values))
    made = _made_with(command, values, written)
    if values.get("resume"):
        former = tables.get(command.name, {})
        if _without_length(former) != _without_length(table):
            # it is no run from the first step on: what came before it is told beside it
            table["resume"] = True
            made["before"] = former
    tables = {**tables, command.name: table}
    tables[RECORD] = {**tables.pop(RECORD, {}), command.name: made}
    try:
        text = _HEAD + "".join(_tables(tables))
        with whole_file(place, of_ours=True) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except (UserError, UnicodeEncodeError) as error:  # of a name that is no Unicode
        warnings.warn(Advice(f"'{path}' is not written ({error})."), stacklevel=2)
        return None
    return path


def _before(path: Path, folder: Path, context: Any) -> dict[str, Any]:
    """The tables of the record that is there, or else of the file that the command was given."""
    if path.is_file():
        try:
            return run_config.load(path)
        except UserError:  # it is damaged, and written anew
            return {}
    given: dict[str, Any] = context.meta.get(run_config.__name__, {})
    root = context.find_root()
    commands = {name: root.command.get_command(root, name) for name in given if name != RECORD}
    former = given.get(context.command.name, {}).get("output")
    return {
        name: _elsewhere(table, commands[name], former, folder) if name in commands else table
        for name, table in given.items()
    }


def _elsewhere(
    table: Mapping[str, Any], command: Any, former: str | None, folder: Path
) -> dict[str, Any]:
    """A table of another command: paths absolute, and of this folder where they were of the former one."""
    by_key = parameters_by_key(command)
    moved = {}
    for key, value in table.items():
        parameter = by_key.get(spelled(key))
        if parameter is not None and isinstance(value, str):
            is_former = takes_files(parameter) and former is not None
            if is_former and Path(value).absolute() == Path(str(former)).absolute():
                value = str(folder)
            value = _absolute(parameter, value)
        moved[key] = value
    return moved


def _entries(command: Any, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What holds, by the names of options; a flag that is not set goes without saying."""
    for each in command.params:
        value = values.get(each.name)
        is_unset = value is False and not each.secondary_opts
        if is_unset or not each.expose_value or each.name in _OF_ONE_CALL:
            continue
        if isinstance(value, tuple | list):
            if value:
                yield next(keys_of(each)), [_absolute(each, item) for item in value]
        elif value is not None:
            yield next(keys_of(each)), _absolute(each, value)


def _absolute(parameter: Any, value: Any) -> Any:
    """A value whose path, if there is one in it, does not depend on the folder that the command runs in."""
    if takes_files(parameter):
        return str(Path(value).absolute())
    found = file_in(value)
    return value if found is None else f"{found[0]}{found[1].absolute()}{found[2]}"


def _made_with(command: Any, values: Mapping[str, Any], written: Collection[str]) -> dict[str, Any]:
    hashes: dict[str, Any] = {}
    large = []
    for each in command.params:
        value = None if each.name in written else values.get(each.name)
        files, key = files_in(value), next(keys_of(each))
        digests = {str(path.absolute()): sha256(path) for path in files if is_hashed(path)}
        if digests:
            several = isinstance(value, list | tuple)
            hashes[key] = digests if several else next(iter(digests.values()))
        if not all(map(is_hashed, files)):
            large.append(key)
    imported = [name for name in ("numpy", "onnx", "onnx_ir") if name in sys.modules]
    versions = {
        "python": platform.python_version(),
        "svgd-onnx": __version__,
        **{name: metadata.version(name) for name in imported},
        **installed_packages(),
    }
    return {
        **({"too-large-for-sha256": sorted(large)} if large else {}),
        "versions": versions,
        SHA256: hashes,
    }


def _without_length(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name not in _LENGTH}


_HEAD = f"""# Written by svgd-onnx {__version__}: what made these artifacts. With --config and this file
# `convert --force` and `train` do it again; [record] says with what it was done, and has no options.
"""


def _tables(tables: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Tables as TOML."""
    for name, table in tables.items():
        place = f"{prefix}{_key(name)}"
        inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
        if inner.keys() != table.keys() or not table:
            yield f"\n[{place}]\n"
        for key, value in table.items():
            if key not in inner:
                yield f"{_key(key)} = {_toml(value)}\n"
        yield from _tables(inner, f"{place}.")


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else _toml(name)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # JSON's strings, but for the one control character that these may hold as it is
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_key(key)} = {_toml(each)}' for key, each in value.items())}}}"
    if hasattr(value, "isoformat"):  # a date, of a file written by hand
        return str(value.isoformat())
    return repr(value)
