"""Predictions in a file, all at once, of which no more is in memory than a batch: `.npz` or `.csv`."""

from __future__ import annotations

import csv
import shutil
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.files import whole_file
from svgd_onnx.training.prediction import Outputs, check_alike

# Bytes of an array's name: that of its entry in the archive is counted in 16 bits.
_LONGEST = (1 << 16) - 1 - len(".npy")


@dataclass(frozen=True)
class Rows:
    """What is known of the examples.

    Attributes:
        name_of: what a row is called, as the file of an image; None where it has no name.
        classes: names of the classes; none where they are not known.
        classifies: the output that has a number for each class; None if none does.
    """

    name_of: Callable[[int], str | None] = lambda row: None
    classes: Sequence[str] = ()
    classifies: str | None = None


def check_format(path: Path) -> None:
    """Refuses a file whose name does not say what it is to be.

    Raises:
        UserError: lists what it may be.
    """
    if path.suffix.lower() not in _WRITERS:
        raise UserError(
            f"{option('output')} is '{path}', which ends in none of {', '.join(_WRITERS)}: give such a file."
        )


def write_predictions(path: Path, batches: Iterable[Outputs], rows: Rows) -> int:
    """Writes the outputs of a model.

    Args:
        path: `.npz`: an array for each output, by its name, examples along the first axis. `.csv`: a line for
            each example, with the numbers of each output, and of classes the most likely one.
        batches: the outputs of one batch after another.
        rows: what is known of the examples.

    Returns:
        How many examples there were.

    Raises:
        UserError: outputs differ in shape, are more than a line holds, or the file cannot be written.
    """
    with whole_file(path) as temporary:
        return _WRITERS[path.suffix.lower()](temporary, batches, rows)


def _write_npz(path: Path, batches: Iterable[Outputs], rows: Rows) -> int:
    first: Outputs = {}
    parts: dict[str, Path] = {}
    count = 0
    for batch in batches:
        if not first:
            first = batch
            _check_names(batch)
            parts = {name: path.with_name(f"{place}.raw") for place, name in enumerate(batch)}
        for name, array in batch.items():
            check_alike(name, first[name], array)
            with parts[name].open("ab") as file:
                file.write(np.ascontiguousarray(array).data)
        count += len(next(iter(batch.values())))
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            header = {
                "descr": np.lib.format.dtype_to_descr(first[name].dtype),
                "fortran_order": False,
                "shape": (count, *first[name].shape[1:]),
            }
            with (
                archive.open(f"{name}.npy", "w", force_zip64=True) as entry,
                part.open("rb") as file,
            ):
                np.lib.format.write_array_header_2_0(entry, header)
                shutil.copyfileobj(file, entry)
            part.unlink()
    return count


def _check_names(names: Iterable[str]) -> None:
    long = [name for name in names if len(name.encode()) > _LONGEST]
    if long:
        raise UserError(
            f"The output '{long[0][:40]}…' has a name of {len(long[0]):,} characters, which is more than an "
            f".npz file can hold: give {option('output')} a .csv file."
        )


def _write_csv(path: Path, batches: Iterable[Outputs], rows: Rows) -> int:
    count = 0
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        lines = csv.writer(file)
        for batch in batches:
            if not count:
                first = batch
                lines.writerow(_header(batch, rows))
            for name, array in batch.items():
                check_alike(name, first[name], array)
            for row in range(len(next(iter(batch.values())))):
                lines.writerow(_line(batch, row, count, rows))
                count += 1
    return count


def _header(batch: Outputs, rows: Rows) -> list[str]:
    named = ["file"] if rows.name_of(0) is not None else []
    numbers = []
    for name, array in batch.items():
        if array.ndim > 2:
            raise UserError(
                f"Output '{name}' has an array of shape {array.shape[1:]} for each example, and a line of CSV "
                f"holds numbers: give {option('output')} an .npz file."
            )
        size = array.shape[1] if array.ndim == 2 else 1
        numbers += [name] if size == 1 else [f"{name}[{at}]" for at in range(size)]
    if rows.classifies is None:
        return named + numbers
    of_class = ["class", *(["class name"] if rows.classes else [])]
    if not set(numbers).isdisjoint(of_class):  # an output may have any name
        of_class = [f"predicted {name}" for name in of_class]
    return [*named, *numbers, *of_class]


def _line(batch: Outputs, row: int, number: int, rows: Rows) -> list[str]:
    name = rows.name_of(number)
    line = [] if name is None else [name]
    for array in batch.values():
        line += [_shown(value) for value in np.atleast_1d(array[row])]
    if rows.classifies is not None:
        best = int(np.argmax(batch[rows.classifies][row]))
        line += [str(best), *([rows.classes[best]] if rows.classes else [])]
    return line


def _shown(value: np.generic) -> str:
    """A number with all its digits, and no more."""
    return str(value.item() if value.dtype.kind in "biu" else value)


def names_that_fit(
    given: Sequence[str],
    known: Sequence[str],
    outputs: Mapping[str, Sequence[object]],
    name: str | None,
) -> Sequence[str]:
    """The names of classes of an output that has a number for each.

    Args:
        given: by the user; they have to be as many.
        known: otherwise; they are taken if they are as many.
        outputs: shapes of the outputs, by name.
        name: of the output; None if none has classes.

    Raises:
        UserError: those that are given are none of the output.
    """
    if len(set(given)) != len(given):
        raise UserError(f"{option('classes')} names a class twice.")
    size = None if name is None else outputs[name][-1]
    if given and len(given) != size:
        raise UserError(
            f"{option('classes')} names {len(given)} classes, but {_how_many(len(given), outputs)}."
        )
    return given or (known if len(known) == size else ())


def _how_many(count: int, outputs: Mapping[str, Sequence[object]]) -> str:
    fit = [f"'{name}'" for name, shape in outputs.items() if shape and shape[-1] == count]
    if len(fit) < 2:
        return "no output has as many numbers an example"
    return f"{listed(fit)} have as many numbers an example, and nothing says which is meant: leave them out"


_WRITERS: Mapping[str, Callable[[Path, Iterable[Outputs], Rows], int]] = {
    ".npz": _write_npz,
    ".csv": _write_csv,
}
