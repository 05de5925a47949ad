"""What all commands have in common: --config, --json, --quiet, options in groups, and examples in the help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperOption

from svgd_onnx import files, run_config, terminal
from svgd_onnx.command_help import EXAMPLES, GROUP_OF
from svgd_onnx.errors import UserError, option

_CONFIG, _JSON, _QUIET = "config", "json", "quiet"

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Application(typer.Typer):
    """A `Typer` whose commands are `Command`s."""

    def command(self, *arguments: Any, **settings: Any) -> Callable[[_Function], _Function]:
        """As `Typer.command`."""
        return super().command(*arguments, **{"cls": Command, **settings})


class Command(TyperCommand):
    """A command with the options of all commands, which its function is not given."""

    def __init__(self, name: str, **settings: Any) -> None:
        settings["params"] = [*settings.get("params", []), *_common_options()]
        for each in settings["params"]:
            if getattr(each, "rich_help_panel", None) is None:
                each.rich_help_panel = GROUP_OF.get(each.name)
        if settings.get("epilog") is None:
            settings["epilog"] = examples_of(name)
        super().__init__(name=name, **settings)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads --config before all else: what it says holds where the command line says nothing."""
        given, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        _refuse_empty(given, self.params)
        shows_help = self.get_help_option(ctx)  # whose name differs from one click to another
        if not (ctx.resilient_parsing or (shows_help and given.get(shows_help.name))):
            terminal.use(_form(given))
            files.forget_read()
            if given.get(_CONFIG):
                path = Path(given[_CONFIG])
                files.note_read(path)
                said = {name for name, value in given.items() if _is_given(value)}
                tables = ctx.meta[run_config.__name__] = run_config.load(path)
                ctx.default_map = run_config.values_of(tables, path, self, said)
        return super().parse_args(ctx, args)

    def get_help_option(self, ctx: Any) -> Any:
        """--help, which stands with the other options of all commands."""
        found = super().get_help_option(ctx)
        if found is not None:
            found.rich_help_panel = GROUP_OF[_CONFIG]  # type: ignore[attr-defined, unused-ignore]
        return found

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; with --json its object is written at the end, whatever the exit code."""
        try:
            value = super().invoke(ctx)
        except typer.Exit:
            terminal.finish()
            raise
        terminal.finish()
        return value


def _refuse_empty(given: dict[str, Any], parameters: list[Any]) -> None:
    """Refuses a path of no characters, as of a script's variable that is not set: it would be this folder.

    Raises:
        UserError: names the option, or the argument.
    """
    for each in parameters:
        if run_config.is_empty_path(each, given.get(each.name)):
            flag = next(run_config.keys_of(each))
            called = flag.upper() if each.param_type_name == "argument" else f"--{flag}"
            raise UserError(f"{called} is empty: give a path.")


def _is_given(value: Any) -> bool:
    """Whether the command line says a value; an argument that it leaves out is None, or a mark of click's."""
    return isinstance(value, str | bool) or (isinstance(value, list | tuple) and bool(value))


def _form(given: dict[str, Any]) -> terminal.Form:
    if given.get(_JSON) and given.get(_QUIET):
        raise UserError(f"{option(_JSON)} and {option(_QUIET)} do not go together: leave one out.")
    if given.get(_JSON):
        return terminal.Form.JSON
    return terminal.Form.QUIET if given.get(_QUIET) else terminal.Form.TEXT


def _common_options() -> list[TyperOption]:
    settings: dict[str, Any] = {"expose_value": False, "is_eager": True}
    return [
        TyperOption(
            param_decls=[f"--{_CONFIG}"],
            type=str,
            metavar="FILE.toml",
            help="Options by their names, in a table of the command's name; the command line wins.",
            **settings,
        ),
        TyperOption(
            param_decls=[f"--{_JSON}"],
            is_flag=True,
            default=False,
            help="Print one JSON object in place of text.",
            **settings,
        ),
        TyperOption(
            param_decls=[f"--{_QUIET}", "-q"],
            is_flag=True,
            default=False,
            help="Print nothing but mistakes.",
            **settings,
        ),
    ]


def examples_of(name: str) -> str | None:
    """A command's examples as the end of its help."""
    lines = EXAMPLES.get(name)
    # an empty line ends a line: others are run together
    return None if lines is None else "\n\n".join(["For example:", *lines])
