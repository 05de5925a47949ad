"""Reads the CSV files that `train --log` writes, also while it does."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.files import require_file
from svgd_onnx.printable import printable
from svgd_onnx.training.training_log import COLUMNS

STEP, EPOCH = COLUMNS[:2]
VALIDATION = "validation_"
_MOST = 1e300


@dataclass(frozen=True)
class Log:
    """The log of one run.

    Attributes:
        path: its file.
        columns: by name, float64 (rows); NaN where a row has no value.
    """

    path: Path
    columns: dict[str, np.ndarray]

    def curve(self, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values of the rows that have one; a loss that was NaN is one, and leaves a gap."""
        values = self.columns.get(column, np.array([]))
        steps = self.columns[STEP][: len(values)]
        has = ~np.isnan(values) if column.startswith(VALIDATION) else np.full(len(values), True)
        return steps[has], values[has]

    def has(self, column: str) -> bool:
        """Whether a row has a value of that column."""
        return bool(np.isfinite(self.columns.get(column, np.array([]))).any())


def read_log(path: Path) -> Log:
    """A log; a last row without its line end is left out, as it may be cut.

    Raises:
        UserError: it cannot be read, is no log, is damaged, or has no row.
    """
    require_file(path)
    try:
        whole, end, _ = path.read_bytes().rpartition(b"\n")
    except OSError as error:
        raise UserError(f"The log '{path}' cannot be read ({error.strerror}).") from error
    reader = csv.reader(io.StringIO((whole + end).decode("utf-8", "replace"), newline=""))
    try:
        names = next(reader, [])
        if tuple(names[: len(COLUMNS)]) != COLUMNS:
            raise UserError(
                f"'{path}' is not a log of svgd-onnx: give a file that train writes by {option('log')}."
            )
        rows = [[_number(cell) for cell in row] for row in reader]
        table = np.array(rows, np.float64).reshape(-1, len(names))
    except (csv.Error, ValueError) as error:
        raise UserError(
            f"The log '{path}' is damaged at line {reader.line_num}: restore it from a copy."
        ) from error
    if not len(table):
        raise UserError(f"The log '{path}' has no row yet: wait for the first step that is logged.")
    return Log(path, dict(zip(names, table.T)))


def _number(cell: str) -> float:
    """A cell; NaN of an empty one.

    Raises:
        ValueError: it is no number, or one that no training comes to, whose distances would be infinite.
    """
    number = float(cell) if cell else np.nan
    if _MOST < abs(number) < np.inf:
        raise ValueError(cell)
    return number


def columns_of(metric: str, logs: Sequence[Log]) -> list[str]:
    """The columns that a metric is in: that of training, that of validation, or both.

    Args:
        metric: a column, or a metric of the validation without that word.
        logs: of which at least one has it.

    Raises:
        UserError: none has; the message lists what there is.
    """
    wanted = [metric] if metric.startswith(VALIDATION) else [metric, f"{VALIDATION}{metric}"]
    found = [name for name in wanted if any(log.has(name) for log in logs)]
    if not found or metric in (STEP, EPOCH):
        there = {name: None for log in logs for name in log.columns if log.has(name)}
        names = dict.fromkeys(name.removeprefix(VALIDATION) for name in there)
        choices = [name for name in names if name not in (STEP, EPOCH)]
        raise UserError(
            f"The logs have no values of the {option('metric')} '{metric}': they have {listed(choices)}."
        )
    return found


def names_of(logs: Sequence[Log]) -> list[str]:
    """What to call runs: the files' names without ending, with as many folders as tell them apart."""
    paths = [log.path.absolute() for log in logs]
    parts = [(*path.parent.parts, path.name.removesuffix(".csv")) for path in paths]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-count:]) for each in parts]
        if len(set(names)) == len(names):
            break
    return [printable(name) for name in names]


def smoothed(values: np.ndarray, count: int) -> np.ndarray:
    """Means of each value and those before it, `count` in all or as many as there are; NaN do not count."""
    finite, count = np.isfinite(values), min(count, len(values))
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    end = np.arange(1, len(values) + 1)
    begin = np.maximum(end - count, 0)
    number = counts[end] - counts[begin]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((sums[end] - sums[begin]) / number)
