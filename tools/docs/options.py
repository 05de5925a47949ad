"""The reference of options, from the command line itself, for docs/reference/options.md."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import typer

from svgd_onnx import cli

PROGRAM = "svgd-onnx"


@cache
def _program() -> Any:
    return typer.main.get_command(cli._app)


def commands() -> dict[str, Any]:
    """click's commands by name, in the order of the help."""
    program, context = _program(), _context()
    return {name: program.get_command(context, name) for name in program.list_commands(context)}


def flags(parameter: Any) -> list[str]:
    """How an option may be written, or the name of an argument."""
    if parameter.param_type_name == "argument":
        return [parameter.make_metavar(_context())]
    return [*parameter.opts, *parameter.secondary_opts]


def groups(command: Any) -> dict[str, list[Any]]:
    """The parameters of a command by their heading in the help, arguments first."""
    found: dict[str, list[Any]] = {"Arguments": []}
    for each in command.get_params(_context()):
        is_argument = each.param_type_name == "argument"
        heading = "Arguments" if is_argument else each.rich_help_panel or "Options"
        found.setdefault(heading, []).append(each)
    return {heading: each for heading, each in found.items() if each}


def markdown(name: str) -> str:
    """A command's help and all its parameters, for the parser of the site."""
    command = commands()[name]
    return "\n".join([command.help, "", f"```{{program}} {PROGRAM} {name}\n```", *_lines(command)])


def _lines(command: Any) -> Iterator[str]:
    for heading, parameters in groups(command).items():
        yield f"\n```{{rubric}} {heading}\n```\n"
        for each in parameters:
            yield f"```{{option}} {_signature(each)}\n{_said(each)}\n```\n"


def _signature(parameter: Any) -> str:
    if parameter.param_type_name == "argument" or parameter.is_flag:
        return ", ".join(flags(parameter))
    value = parameter.make_metavar(_context())
    return ", ".join(f"{flag} {value}" for flag in flags(parameter))


def _said(parameter: Any) -> str:
    said = [parameter.help or ""]
    if parameter.required:
        said.append("Has to be given.")
    elif isinstance(parameter.default, str | int | float) and not isinstance(
        parameter.default, bool
    ):
        said.append(f"By default {parameter.default}.")
    return " ".join(said).replace("*", r"\*").replace("_", r"\_")


def _context() -> Any:
    return typer.Context(_program(), info_name=PROGRAM)
