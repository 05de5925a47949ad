"""The command `federate`. It needs neither onnx nor Flower, which runs what it writes."""

from __future__ import annotations

from pathlib import Path

import typer

from svgd_onnx import terminal


def federate(
    name: str = typer.Argument(..., help="Of the app: letters, digits and hyphens."),
    artifacts: Path = typer.Option(
        Path("artifacts"),
        help="The server's artifacts, and where simulated clients have theirs from.",
    ),
    data_file: Path = typer.Option(
        Path("train.npz"),
        "--data",
        help="What simulated clients divide among themselves, an .npz file.",
    ),
    test_data: Path | None = typer.Option(None, help="What the server evaluates on."),
) -> None:
    """Write a Flower app, which trains artifacts on data that stay where they are."""
    from svgd_onnx.federated.new_app import write_app

    folder = write_app(name, artifacts=artifacts, data=data_file, test_data=test_data)
    terminal.result(app=folder)
    terminal.say(f"{folder}: a Flower app; its README.md says how to run it.")
