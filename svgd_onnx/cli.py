"""The command line: `svgd-onnx convert | train | evaluate | predict | export | apply | inspect | check`."""

from __future__ import annotations

import sys
import warnings
from typing import Any, cast

import typer

import svgd_onnx
from svgd_onnx import files, signals, terminal
from svgd_onnx.command import Application
from svgd_onnx.command_help import WHOLE_EXAMPLE
from svgd_onnx.distributed.job import after_the_first
from svgd_onnx.errors import Advice, UserError
from svgd_onnx.training_commands import evaluate, export, predict, train

_app = Application(
    help="Train exported ONNX models with SVGD on onnxruntime, without a deep-learning framework.",
    epilog=WHOLE_EXAMPLE,
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Runs the command line; a user's error is one sentence on stderr and exit code 2."""
    terminal.prepare()
    warnings.showwarning = cast(Any, _show_warning)
    signals.at_end[:] = [files.abandon, files.FolderLock.forget]
    try:
        _app()
    except UserError as error:
        terminal.complain(f"{after_the_first()}{error.on_command_line()}")
        sys.exit(2)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    shown = message.on_command_line() if isinstance(message, Advice) else message
    terminal.warn(str(shown))


def _version(value: bool) -> None:
    if value:
        print(svgd_onnx.__version__)
        raise typer.Exit()


@_app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


_CONVERSION_COMMANDS = ("convert", "inspect", "check", "apply")


def _add_conversion_commands() -> None:
    try:
        from svgd_onnx import conversion_commands
    except ModuleNotFoundError as error:
        if error.name not in ("onnx", "onnx_ir"):
            raise
        for name in _CONVERSION_COMMANDS:
            _app.command(
                name,
                help="Not here: needs onnx and onnx-ir.",
                context_settings={"ignore_unknown_options": True},
            )(_not_here)
    else:
        for name in _CONVERSION_COMMANDS:
            _app.command()(getattr(conversion_commands, name))


def _not_here(arguments: list[str] | None = typer.Argument(None, hidden=True)) -> None:
    raise UserError(
        "This environment only trains. To convert, inspect or check a model, or to apply adapters, pip install "
        "'svgd-onnx[convert]' here, or in another."
    )


_add_conversion_commands()
for _command in (train, evaluate, predict, export):
    _app.command()(_command)
