"""Rows of numbers in a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from svgd_onnx.files import whole_file
from tools.paper.folders import make_folder


def save_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Writes a CSV file, all at once, and makes its folder where there is none.

    Raises:
        UserError: the file cannot be written.
    """
    make_folder(path.parent)
    with whole_file(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
