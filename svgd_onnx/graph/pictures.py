"""Pictures as files: a page, a drawing, or both of one training graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from svgd_onnx.conversion.keywords import keywords_of
from svgd_onnx.conversion.options import TrainingSettings
from svgd_onnx.data_arguments import check_output
from svgd_onnx.errors import UserError
from svgd_onnx.files import PathLike, whole_file
from svgd_onnx.graph.drawing import drawing_of
from svgd_onnx.graph.page import layout_script, page_of
from svgd_onnx.graph.sources import training_graph
from svgd_onnx.graph.training_graph import TrainingGraph
from svgd_onnx.manifest import FILE_NAME
from svgd_onnx.transforms.virtualize import VirtualGradientSettings

PAGE, DRAWING = "html", "svg"
_KINDS: dict[str, Callable[[TrainingGraph], str]] = {
    PAGE: lambda graph: page_of(graph, layout_script()),
    DRAWING: drawing_of,
}


@keywords_of(TrainingSettings, VirtualGradientSettings)
def write_graph_page(
    path: PathLike, output: PathLike, *, target: str | None = None, **settings: Any
) -> Path:
    """Writes the training graph of a model, or of a folder of artifacts, as a page to walk through.

    The page is one file of HTML, which asks for nothing from anywhere and holds no weights: layers that are
    opened by a click, forward and backward, before T and with it, what is trained, frozen and constant, and
    the shapes of r.

    Args:
        path: the model, as SVGD would train it; or the folder, as converted.
        output: the file to write, which ends in .html and is replaced if it is there.
        target: as for `convert`.
        **settings: the fields of `TrainingSettings` and `VirtualGradientSettings`, as for `convert`; not of a
            folder.

    Returns:
        The file.

    Raises:
        UserError: `convert` would refuse the model, netron is not installed, or the file cannot be written.

    Example:
        >>> svgd_onnx.write_graph_page("model.onnx", "graph.html", freeze=["stem.*"])  # doctest: +SKIP
    """
    write({PAGE: Path(output)}, Path(path), target, settings)
    return Path(output)


@keywords_of(TrainingSettings, VirtualGradientSettings)
def write_graph_drawing(
    path: PathLike, output: PathLike, *, target: str | None = None, **settings: Any
) -> Path:
    """Writes the training graph of a small model, or of a folder of artifacts, as a drawing for a paper.

    Operations are a chain from left to right with their parameters above; beneath each is its gradient, and T
    before that of the parameters, with the shape of r (Fig. 3 and 6 of arXiv 1907.04021). Operations that have
    neither parameters nor a gradient, as those that compute shapes, are left out, and the loss is one box.

    Args:
        path: as for `write_graph_page`.
        output: the file to write, which ends in .svg and is replaced if it is there.
        target: as for `convert`.
        **settings: as for `write_graph_page`.

    Returns:
        The file.

    Raises:
        UserError: `convert` would refuse the model, it has too many operations for a drawing, or the file
            cannot be written.

    Example:
        >>> svgd_onnx.write_graph_drawing("model.onnx", "graph.svg")  # doctest: +SKIP
    """
    write({DRAWING: Path(output)}, Path(path), target, settings)
    return Path(output)


def check_pictures(files: Mapping[str, Path], path: Path) -> None:
    """Refuses what cannot be written, as far as that is seen before the graph is made.

    Args:
        files: by `PAGE` and `DRAWING`.
        path: of the model or the folder.

    Raises:
        UserError: a file has another ending, may not be written over, or what makes the page is not installed.
    """
    for kind, file in files.items():
        if file.suffix.lower() != f".{kind}":
            raise UserError(f"'{file}' must end in .{kind}: give it that name.")
        check_output(file, [path.parent if path.name == FILE_NAME else path])
    if PAGE in files:
        layout_script()


def write(
    files: Mapping[str, Path], path: Path, target: str | None, settings: Mapping[str, Any]
) -> None:
    """Writes pictures of one graph, once all of them are made.

    Raises:
        UserError: as `write_graph_page` and `write_graph_drawing`.
    """
    check_pictures(files, path)
    graph = training_graph(path, target, settings)
    texts = {file: _KINDS[kind](graph) for kind, file in files.items()}
    for file, text in texts.items():
        with whole_file(file) as place:
            place.write_text(text, encoding="utf-8", newline="\n")
