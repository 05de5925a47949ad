"""What the commands' options say of data: where it is, which columns, what happens to images, a share of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import typer

from svgd_onnx.errors import UserError, option
from svgd_onnx.files import check_destination, followed, note_read, require_file
from svgd_onnx.option_types import text_of_parts

if TYPE_CHECKING:
    from svgd_onnx.training.sources import Data

COLUMNS = typer.Option(
    [],
    metavar="INPUT=A,B,…",
    help="The columns (names or globs) of the data that an input, or the label, is made of; may be repeated.",
)
TRANSFORM = typer.Option(
    [],
    metavar="NAME[=VALUE],…",
    help="What happens to images: resize, center-crop, random-crop, flip, color, normalize; may be repeated.",
)
NO_CLASSES: Mapping[str, Sequence[str]] = MappingProxyType({})
CLASSES = typer.Option(
    [],
    metavar="[LABEL=]A,B,…|FILE.txt",
    parser=text_of_parts,
    help="The names of classes in the order of their numbers, or a file with one a line; of several labels "
    "LABEL=A,B for each. By default those that the data names, sorted, or that the folder was trained on.",
)
WORKERS = typer.Option(1, help="Threads that prepare batches while a step runs; 0 for none.")


def open_data(
    path: Path,
    columns: Sequence[str],
    transform: Sequence[str],
    classes: Sequence[str],
    trained: Sequence[str] = (),
    trained_by_label: Mapping[str, Sequence[str]] = NO_CLASSES,
) -> Data:
    """The data of a command.

    Args:
        path: where it is.
        columns: as written, "x=a,b".
        transform: as written.
        classes: as written; what it does not say is that of before.
        trained: those of before, if any.
        trained_by_label: of several labels those of each.

    Raises:
        UserError: an option is not written as it is to be, or the data cannot be read.
    """
    from svgd_onnx.training.sources import load_data

    names, by_label = parse_classes(classes)
    if names and by_label:
        raise UserError(
            f"{option('classes')} has '{names[0]}' beside LABEL=A,B: say of each label which classes it has."
        )
    before = {} if names else trained_by_label
    return load_data(
        path,
        columns=parse_columns(columns),
        transform=transform,
        classes={**before, **by_label} or names or trained,
    )


def parse_columns(items: Sequence[str]) -> dict[str, list[str]]:
    """Columns by the name of an input: "x=a,b,c"; of an input that is named twice, all.

    Raises:
        UserError: one is not written so.
    """
    columns: dict[str, list[str]] = {}
    for item in items:
        name, _, globs = item.partition("=")
        if not name or not globs:
            raise UserError(
                f"{option('columns')} has '{item}', which is not INPUT=COLUMN: write it as x=width,height."
            )
        columns.setdefault(name, []).extend(glob for glob in globs.split(",") if glob)
    return columns


def parse_classes(items: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Names with commas between, or in a file, one a line; and those of labels that are named: "size=s,m,l".

    Raises:
        UserError: a file cannot be read.
    """
    plain: list[str] = []
    by_label: dict[str, list[str]] = {}
    for item in items:
        label, equals, text = item.partition("=")
        if not equals or Path(item).is_file():
            plain += _names(item)
        else:
            by_label.setdefault(label, []).extend(_names(text))
    return plain, by_label


def parse_names(items: Sequence[str]) -> list[str]:
    """As `parse_classes`, where there are no labels.

    Raises:
        UserError: one is named; or as there.
    """
    plain, by_label = parse_classes(items)
    if by_label:
        raise UserError(
            f"{option('classes')} is of the one output that has scores of classes here: give names without a "
            "label."
        )
    return plain


def _names(text: str) -> list[str]:
    if not text.endswith(".txt"):
        names = [name.strip() for name in text.split(",")]
        if "" in names:
            raise UserError(
                f"{option('classes')} is '{text}', in which a name is empty: give names with commas between."
            )
        return names
    note_read(Path(text))
    try:
        content = require_file(Path(text)).read_text(encoding="utf-8-sig")
        names = [line for line in content.splitlines() if line]
    except (OSError, ValueError) as error:
        raise UserError(f"The file of classes '{text}' cannot be read ({error}).") from error
    if not names:
        raise UserError(f"The file of classes '{text}' has no name in it: write one a line.")
    return names


def parse_validation(text: str | None) -> Path | float | None:
    """A share of the data, or where other data is.

    A number is a share, but where there is a file of that name.
    """
    if text is None:
        return None
    try:
        share = float(text)
    except ValueError:
        return Path(text)
    return Path(text) if Path(text).exists() else share


def check_output(path: Path, read: Sequence[Path]) -> None:
    """Refuses to write over data that the same command reads, or into a folder of such.

    Raises:
        UserError: says what is there.
    """
    check_destination(path, read)
    check_outside(path, read)


def check_outside(path: Path, read: Sequence[Path]) -> None:
    """Refuses a place in a folder of data that the same command reads.

    Raises:
        UserError: says which.
    """
    final = followed(path)
    for folder in read:
        if folder.is_dir() and final.is_relative_to(followed(folder)):
            raise UserError(
                f"'{path}' lies in '{folder}', which is read: give another place to write to."
            )


def show_classes(classes: Mapping[str, Sequence[str]]) -> list[str]:
    """A line of the classes of each label, with their numbers."""
    lines = []
    for label, names in classes.items():
        whose = f" of '{label}'" if len(classes) > 1 else ""
        numbered = ", ".join(f"{number} {name}" for number, name in enumerate(names))
        lines.append(f"Classes{whose}: {numbered}.")
    return lines
