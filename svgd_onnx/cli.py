"""The command line: `svgd-onnx convert | train | evaluate | predict | export`, and the others."""

from __future__ import annotations

import errno
import sys
import warnings
from typing import Any, cast

import typer
from typer.core import TyperGroup

import svgd_onnx
from svgd_onnx import files, signals, terminal
from svgd_onnx.command import Application
from svgd_onnx.command_help import WHOLE_EXAMPLE
from svgd_onnx.distributed.job import after_the_first
from svgd_onnx.errors import Advice, UserError
from svgd_onnx.federated_command import federate
from svgd_onnx.plot_command import plot
from svgd_onnx.standard_streams import UnwritableError
from svgd_onnx.training_commands import evaluate, export, predict, train

_NO_MEMORY = (
    "There is not enough memory for this: give smaller batches, a smaller model, or more memory."
)
_UNWRITTEN = (
    "what was written into files is there; send the output elsewhere, or leave it out with --quiet."
)
_TOO_LONG = "There is no such file: a path, or a name in it, is longer than the system takes."
_CONVERSION_COMMANDS = ("convert", "inspect", "check", "apply")


class _Program(TyperGroup):
    """The commands. Those that need onnx are made when one is asked for: to train takes none of it."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all, in the order of the help."""
        return list(dict.fromkeys([*_CONVERSION_COMMANDS, *super().list_commands(ctx)]))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by its name; None where there is none."""
        if cmd_name not in self.commands:  # so that what is misspelt may be one of them
            self.commands.update(cast(Any, typer.main.get_group(_conversion())).commands)
        return super().get_command(ctx, cmd_name)


_app = Application(
    cls=_Program,
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
        try:
            _app()
        finally:
            sys.stdout.flush()
    except UserError as error:
        terminal.complain(f"{after_the_first()}{error.on_command_line()}")
        sys.exit(2)
    except UnwritableError as error:
        terminal.complain(f"Standard output cannot be written ({error}): {_UNWRITTEN}")
        sys.exit(2)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            said = _TOO_LONG
        elif isinstance(error, PermissionError) and error.filename is not None:
            said = f"'{error.filename}' may not be read, or not be written ({error.strerror})."
        else:
            raise
        terminal.complain(f"{after_the_first()}{said}")
        sys.exit(2)
    except MemoryError:
        terminal.complain(f"{after_the_first()}{_NO_MEMORY}")
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


def _conversion() -> Application:
    """The commands that need onnx, or what says that they are not here."""
    app = Application()
    try:
        from svgd_onnx import conversion_commands
    except ModuleNotFoundError as error:
        if error.name not in ("onnx", "onnx_ir"):
            raise
        for name in _CONVERSION_COMMANDS:
            app.command(
                name,
                help="Not here: needs onnx and onnx-ir.",
                context_settings={"ignore_unknown_options": True},
            )(_not_here)
    else:
        for name in _CONVERSION_COMMANDS:
            app.command()(getattr(conversion_commands, name))
    return app


def _not_here(arguments: list[str] | None = typer.Argument(None, hidden=True)) -> None:
    raise UserError(
        "This environment only trains. To convert, inspect or check a model, or to apply adapters, pip install "
        "'svgd-onnx[convert]'."
    )


for _command in (train, evaluate, predict, export, plot, federate):
    _app.command()(_command)
