"""The options of `inspect` that write pictures of the training graph."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import typer

from svgd_onnx.errors import Advice
from svgd_onnx.terminal import result, say

HTML = typer.Option(
    None,
    metavar="FILE.html",
    help="Write the training graph, before and with T, as a page to walk through: one file, no network.",
)
SVG = typer.Option(
    None,
    metavar="FILE.svg",
    help="Write the training graph of a small model as a drawing for a paper.",
)


def take_pictures(settings: dict[str, Any]) -> dict[str, Path]:
    """Takes the files to write out of a command's options, by what they are.

    Raises:
        UserError: one may not be written, before hours are spent on what it is to show.
    """
    files = {name: settings.pop(name) for name in ("html", "svg")}
    wanted = {name: Path(file) for name, file in files.items() if file is not None}
    if wanted:
        from svgd_onnx.graph.pictures import check_pictures

        check_pictures(wanted, Path(settings["path"]))
    return wanted


def write_pictures(wanted: dict[str, Path], settings: dict[str, Any]) -> None:
    """Writes them, and says so.

    Args:
        wanted: files by "html" and "svg".
        settings: those of `svgd_onnx.inspect`.

    Raises:
        UserError: there is no graph, as `convert` refuses the model, or a file cannot be written.
    """
    if not wanted:
        return
    from svgd_onnx.graph.pictures import write

    others = {name: each for name, each in settings.items() if name not in ("path", "random_size")}
    with warnings.catch_warnings():  # the inspection has said all that there is to say
        warnings.simplefilter("ignore", Advice)
        write(wanted, Path(settings["path"]), others.pop("target"), others)
    for name, file in wanted.items():
        result(**{name: file})
        say(f"{file}: the training graph, as {_KINDS[name]}.")


_KINDS = {"html": "a page for any browser", "svg": "a drawing"}
