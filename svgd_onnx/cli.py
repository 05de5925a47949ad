"""The command line: `svgd-onnx convert | train | evaluate | export | apply | inspect | check`."""

from __future__ import annotations

import gc
import sys
import warnings
from pathlib import Path
from typing import Any, cast

import typer

import svgd_onnx
from svgd_onnx import files, signals, terminal
from svgd_onnx.errors import Advice, UserError, option
from svgd_onnx.runtime import installed_packages
from svgd_onnx.training import data
from svgd_onnx.training.adapter_file import export_adapter
from svgd_onnx.training.export import export as export_folder

_app = typer.Typer(
    help="Train exported ONNX models with SVGD on onnxruntime, without a deep-learning framework.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


_DEVICE = typer.Option(
    None, help="cpu or cuda, for the target onnx; by default CUDA where onnxruntime has it."
)


def main() -> None:
    """Runs the command line; a user's error is one sentence on stderr and exit code 2."""
    terminal.prepare()
    warnings.showwarning = cast(Any, _show_warning)
    signals.at_end[:] = [files.abandon, files.FolderLock.forget]
    try:
        _app()
    except UserError as error:
        terminal.complain(error.on_command_line())
        sys.exit(2)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    shown = message.on_command_line() if isinstance(message, Advice) else message
    terminal.complain(str(shown))


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
        "This environment only trains. To convert, inspect or check a model, pip install "
        "'svgd-onnx[convert]' here, or in another."
    )


_add_conversion_commands()


@_app.command()
def train(
    folder: Path = typer.Argument(..., help="A folder of training artifacts."),
    data_file: Path = typer.Option(
        ..., "--data", help="An .npz file: an array for each model input, and the labels."
    ),
    validation: Path | None = typer.Option(
        None, help="An .npz file to evaluate on after each epoch."
    ),
    epochs: int | None = typer.Option(None, help="Epochs in all."),
    steps: int | None = typer.Option(None, help="Steps in all, instead of epochs."),
    batch_size: int = typer.Option(..., help="Examples a step."),
    learning_rate: float = typer.Option(..., help="The learning rate alpha."),
    schedule: str | None = typer.Option(
        None, metavar="STEP:RATE,…", help="The learning rate from a step on; steps count from 0."
    ),
    seed: int | None = typer.Option(
        None, help="Of the order of examples and of Dropout; 0, or that of the run to resume."
    ),
    threads: int | None = typer.Option(None, help="Threads; by default one for each core."),
    device: str | None = _DEVICE,
    kernels: str = typer.Option(
        "auto",
        help="fast or standard; by default the fast ones on the processor, where the folder has them.",
    ),
    non_finite: str = typer.Option(
        "stop",
        help="Where a batch's loss or gradient is NaN or infinite: stop, or skip that step.",
    ),
    log: Path | None = typer.Option(None, help="A CSV file to log steps to."),
    log_every: int = typer.Option(1, help="Log each so many steps."),
    checkpoint_every: int | None = typer.Option(
        None, help="Save each so many steps, not only at the end."
    ),
    checkpoint_on_stop: bool = typer.Option(
        False,
        "--checkpoint-on-stop",
        help="Save when SIGINT or SIGTERM stops training; a second one does not wait for that.",
    ),
    resume: bool = typer.Option(False, "--resume", help="Go on from the checkpoint."),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Say what runs the steps."),
) -> None:
    """Train, and save the checkpoint."""
    gc.enable()
    if log is not None:
        files.check_destination(log, [data_file, *([validation] if validation else [])])
    trainer = svgd_onnx.Trainer(
        folder,
        seed=seed,
        threads=threads,
        device=device,
        kernels=kernels,
        non_finite=non_finite,
    )
    if verbose:
        ((package, version),) = installed_packages().items()
        terminal.say(f"Steps run with {trainer.kernels} kernels, on {package} {version}.")
    before = trainer.step
    examples = data.load(data_file)
    held_out = None if validation is None else data.load(validation)
    stop = trainer.stop if checkpoint_on_stop else None
    with signals.during(lambda: _interrupted(trainer), stop):
        result = trainer.train(
            examples,
            epochs=epochs,
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            schedule=_parse_schedule(schedule),
            validation=held_out,
            log=log,
            log_every=log_every,
            checkpoint_every=checkpoint_every,
            resume=resume,
            progress=True,
        )
    if signals.exit_code() is not None:
        terminal.complain(f"{_interrupted(trainer)}.")
        raise typer.Exit(signals.exit_code() or 0)
    values = ", ".join(
        f"{'loss of the last batch' if name == 'loss' else name.replace('_', ' ')} {value:.6g}"
        for name, value in result.items()
    )
    terminal.say(f"Trained from step {before} to {trainer.step}: {values or 'nothing to do'}.")
    if trainer.skipped:
        terminal.say(
            f"{trainer.skipped} of all steps were left out: their loss or a gradient was NaN or infinite."
        )


def _interrupted(trainer: svgd_onnx.Trainer) -> str:
    saved = trainer.saved_step
    again = "go on from there with --resume" if saved else "--checkpoint-every saves on the way"
    return f"interrupted at step {trainer.step}; the checkpoint is of step {saved}: {again}"


@_app.command()
def evaluate(
    folder: Path = typer.Argument(..., help="A folder of training artifacts."),
    data_file: Path = typer.Option(..., "--data", help="An .npz file, as for train."),
    device: str | None = _DEVICE,
) -> None:
    """Print the loss over a data set, and the accuracy."""
    gc.enable()
    trainer = svgd_onnx.Trainer(folder, device=device)
    for name, value in trainer.evaluate(data.load(data_file)).items():
        terminal.say(f"{name} {value:.6f}")


@_app.command()
def export(
    folder: Path = typer.Argument(..., help="A folder of training artifacts."),
    output: Path | None = typer.Option(None, help="The ONNX file to write."),
    adapter: Path | None = typer.Option(
        None, help="The safetensors file to write the low-rank adapters to, without the model."
    ),
    requantize: bool = typer.Option(
        False,
        "--requantize",
        help="Find scales of quantized weights anew, by what these have become.",
    ),
) -> None:
    """Write the trained model as plain ONNX, or its adapters alone."""
    if output is None and adapter is None:
        raise UserError(
            f"Nothing is written: say with {option('output')} where the model goes, or with "
            f"{option('adapter')} where its adapters go."
        )
    if output is not None:
        export_folder(folder, output, requantize=requantize)
        terminal.say(f"{output}: the trained model.")
    if adapter is not None:
        export_adapter(folder, adapter)
        terminal.say(f"{adapter}: the trained adapters.")


def _parse_schedule(text: str | None) -> dict[int, float]:
    schedule = {}
    for item in text.split(",") if text else []:
        step, _, rate = item.partition(":")
        try:
            schedule[int(step)] = float(rate)
        except ValueError:
            raise UserError(
                f"{option('schedule')} has '{item}', which is not STEP:RATE: write it as 1600:0.005,3600:0.001."
            ) from None
    return schedule
