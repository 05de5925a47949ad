"""What `svgd-onnx predict` does: a folder or a model, data, and a file of what the one says of the other."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from svgd_onnx.data_arguments import check_output
from svgd_onnx.errors import UserError, first_line
from svgd_onnx.files import UnchangedFiles, require_there
from svgd_onnx.manifest import Manifest
from svgd_onnx.targets import target_named
from svgd_onnx.targets.artifact_files import check_not_of_artifacts
from svgd_onnx.targets.external_references import refers_to_files

if TYPE_CHECKING:
    from svgd_onnx.training.prediction import Predictor
    from svgd_onnx.training.sources import Data


def write_outputs(
    path: Path,
    examples: Data,
    output: Path,
    *,
    read: Path,
    classes: Sequence[str],
    workers: int,
    batch_size: int,
    threads: int | None,
) -> int:
    """Writes what a model says of some examples.

    Args:
        path: a folder of artifacts, or a file of ONNX.
        examples: of which.
        output: the file to write, `.npz` or `.csv`.
        read: where the examples are.
        classes: names of classes; none for those that the folder was trained on, or that the data has.
        workers: threads that prepare batches.
        batch_size: examples that are computed at once.
        threads: of onnxruntime; None for one a core.

    Returns:
        How many examples there were.

    Raises:
        UserError: something does not fit, or the file cannot be written.
    """
    from svgd_onnx.training.examples import known_classes
    from svgd_onnx.training.feed import check_workers
    from svgd_onnx.training.predictions_file import (
        Rows,
        check_format,
        names_that_fit,
        write_predictions,
    )

    check_format(output)
    check_output(output, [read] if path.is_dir() else [read, path])
    if path.is_dir():
        check_not_of_artifacts(output, path)
    check_workers(workers)
    with _opened(path, threads) as (predictor, trained):
        known = classes or trained or known_classes(examples)
        predictor = _classifying(predictor, known)
        shapes = {each.name: each.shape for each in predictor.outputs}
        names = names_that_fit(classes, known, shapes, predictor.classifies)
        rows = Rows(examples.source.name_of, names, predictor.classifies)
        batches = predictor.predict(examples, batch_size=batch_size, workers=workers)
        return write_predictions(output, batches, rows)


@contextlib.contextmanager
def _opened(path: Path, threads: int | None) -> Iterator[tuple[Predictor, Sequence[str]]]:
    """A model for inference, and the names of the classes that it was trained on."""
    from svgd_onnx.training.export import export
    from svgd_onnx.training.prediction import open_artifacts, open_model

    if not path.is_dir():
        files = UnchangedFiles(_references(path))
        yield replace(open_model(path, threads), files=files), ()
        return
    manifest = Manifest.load(path)
    classes = target_named(manifest.target).progress(path, manifest).classes
    with open_artifacts(path, manifest, functools.partial(export, path), threads) as predictor:
        yield predictor, classes


def _references(path: Path) -> list[Path]:
    """The files that a model names, none of which lies outside of its folder: onnxruntime reads them.

    Where there is an onnx package, numbers in nodes are looked at too, by which onnxruntime would die.

    Raises:
        UserError: one does, a number is none, the model cannot be read, or it names files and there is no onnx
            package to see which.
    """
    require_there(path)
    try:
        import onnx

        from svgd_onnx.conversion.external_data import check_external_data
        from svgd_onnx.conversion.odd_numbers import refuse_odd_numbers
    except ModuleNotFoundError as error:
        if not refers_to_files(path):
            return []
        raise UserError(
            f"'{path}' names other files, and onnx looks whether they are its own: pip install "
            "'svgd-onnx[convert]', or export it into one file."
        ) from error
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf has its own
        raise UserError(f"'{path}' is no ONNX model ({first_line(error)}).") from error
    beside = check_external_data(model, path.parent, f"'{path}'")
    refuse_odd_numbers(model, f"'{path}'")
    return beside


def _classifying(predictor: Predictor, classes: Sequence[str]) -> Predictor:
    """A predictor that knows which output is of classes: of a model alone, the one with as many numbers."""
    if predictor.classifies is not None or not classes:
        return predictor
    fits = [
        each.name
        for each in predictor.outputs
        if len(each.shape) == 2 and each.shape[1] == len(classes)
    ]
    return replace(predictor, classifies=fits[0]) if len(fits) == 1 else predictor
