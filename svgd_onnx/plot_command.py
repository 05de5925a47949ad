"""The command `plot`: logs of trainings in one picture."""

from __future__ import annotations

import gc
from pathlib import Path

import typer

from svgd_onnx import terminal
from svgd_onnx.errors import counted

_PANEL = "The picture"


def plot(
    runs: list[Path] = typer.Argument(..., metavar="RUN.csv...", help="Logs that train wrote."),
    output: Path | None = typer.Option(
        None,
        metavar="FILE.png|svg|pdf",
        rich_help_panel=_PANEL,
        help="The picture to write; by default a .png of the first log's name.",
    ),
    metric: list[str] = typer.Option(
        ["loss"],
        metavar="NAME",
        rich_help_panel=_PANEL,
        help="loss, learning_rate, accuracy, ...: a panel for each; may be repeated.",
    ),
    smooth: int = typer.Option(
        1, metavar="N", help="Draw means over N rows of the loss of training."
    ),
    log_scale: bool = typer.Option(False, "--log-scale", help="A logarithmic axis of values."),
) -> None:
    """Draw the logs of several trainings in one picture."""
    gc.enable()
    from svgd_onnx.curves.picture import plot as draw

    written = draw(runs, output, metrics=metric, smooth=smooth, log_scale=log_scale)
    terminal.result(picture=written, runs=runs, metrics=metric)
    terminal.say(f"{written}: {', '.join(metric)} of {counted(len(runs), 'run')}.")
