"""The CSV file with a row for each logged step."""

from __future__ import annotations

import contextlib
import csv
import io
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from svgd_onnx.errors import Advice, UserError
from svgd_onnx.files import PathLike, explained, followed, whole_file
from svgd_onnx.training.beginning import BEFORE, Beginning, forget_before, put_back, set_aside

COLUMNS = ("step", "epoch", "learning_rate", "loss", "validation_loss", "validation_accuracy")
_BEGINNING = ",".join(COLUMNS).encode()
_VALIDATION = "validation_"
_FIRST_SCORE = COLUMNS.index("validation_loss")


class TrainingLog:
    """Writes rows as training goes on, so that they can be read while it does.

    Args:
        path: the file, or None for no log.
        beginning: rows up to its step are kept, those of steps that were lost with an interruption go; from
            step 0 on the file is written anew. Where it replaces a checkpoint the file of before lies beside
            until `saved`, and comes back where that was not called.
        metrics: of the validation, beside the loss; each has a column. So do those that are in the file
            already.
    """

    def __init__(
        self, path: PathLike | None, beginning: Beginning, metrics: Iterable[str] = ()
    ) -> None:
        self._path = None if path is None else Path(path)
        self._beginning, self._step = beginning, beginning.step
        self._columns = list(dict.fromkeys([*COLUMNS, *(_VALIDATION + name for name in metrics)]))
        self._file: Any = None

    def __enter__(self) -> TrainingLog:
        if self._path is None:
            return self
        if not self._path.parent.is_dir():
            raise UserError(f"There is no folder '{self._path.parent}' for the log.")
        place, beginning = followed(self._path), self._beginning
        aside = place.with_name(f"{place.name}{beginning.before}")
        self._forget_before(but=beginning.before)
        if beginning.is_first:
            put_back(aside, place)
        kept = self._kept_rows(self._path)
        if beginning.is_first and beginning.replaces:
            set_aside(place, aside)
        with whole_file(self._path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self._columns, restval="")
            writer.writeheader()
            writer.writerows(kept)
        with explained(self._path):
            self._file = self._path.open("a", newline="")
        self._writer = csv.writer(self._file)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            with contextlib.suppress(
                OSError
            ):  # a row that could not be written, and was said to be
                self._file.close()

    def write(
        self,
        step: int,
        epoch: int,
        learning_rate: float,
        loss: float,
        validation: Mapping[str, float],
    ) -> None:
        """One row; `step` counts from 1, `epoch` from 0, `validation` is by metric.

        Raises:
            UserError: it cannot be written; what is there stays, at most with a part of the row behind it.
        """
        if self._file is None:
            return
        names = [column.removeprefix(_VALIDATION) for column in self._columns[_FIRST_SCORE:]]
        scores = [validation.get(name, "") for name in names]
        try:
            self._writer.writerow([step, epoch, learning_rate, loss, *scores])
            self._file.flush()
        except OSError as error:
            raise UserError(
                f"The row of step {step:,} cannot be written to the log '{self._path}' "
                f"({error.strerror or error}): make room, or log elsewhere."
            ) from error

    def saved(self) -> None:
        """Says that there is a checkpoint of the run.

        Raises:
            UserError: what lay beside cannot be removed.
        """
        if self._beginning.replaces:
            self._forget_before()

    def _forget_before(self, but: str | None = None) -> None:
        """Removes what this run, or another, set aside."""
        if self._path is not None:
            place = followed(self._path)
            forget_before(place.parent, lambda name: name.startswith(f"{place.name}{BEFORE}"), but)

    def _kept_rows(self, path: Path) -> list[dict[str, str]]:
        """The rows of the steps that training goes on from.

        A row is whole if a line end follows it: without one its last number may be cut.
        """
        if not self._step or not path.is_file():
            return []
        whole, end, cut = path.read_bytes().rpartition(b"\n")
        if not end and (_BEGINNING.startswith(cut) or cut.startswith(_BEGINNING)):
            return []  # nothing was written yet
        lines = io.StringIO((whole + end).decode("utf-8", "replace"), newline="")
        kept: list[dict[str, str]] = []
        try:
            reader = csv.reader(lines, strict=True)
            columns = next(reader, [])
            if not _is_header(columns):
                raise UserError(f"'{path}' is not a log of svgd-onnx: choose another file.")
            self._columns = list(dict.fromkeys([*columns, *self._columns]))
            for row in reader:
                last = int(kept[-1]["step"]) if kept else 0
                if last == self._step or _step(row, last, len(columns)) > self._step:
                    return kept  # what follows was lost with an interruption
                kept.append(dict(zip(columns, row)))
        except (csv.Error, ValueError) as error:
            raise UserError(
                f"The log '{path}' is damaged at line {reader.line_num}: restore it from a copy, or log to "
                "another file."
            ) from error
        if cut:
            warnings.warn(
                Advice(
                    f"The last row of the log '{path}' is cut, and is left out: its step may be missing there."
                ),
                stacklevel=4,
            )
        return kept


def _is_header(columns: list[str]) -> bool:
    """Whether columns are those of a log: `COLUMNS`, and then metrics, each once."""
    metrics = columns[len(COLUMNS) :]
    ours = all(name.startswith(_VALIDATION) for name in metrics)
    return tuple(columns[: len(COLUMNS)]) == COLUMNS and ours and len(set(columns)) == len(columns)


def _step(row: list[str], last: int, columns: int) -> int:
    """The step of a row of so many columns after that of step `last`.

    Raises:
        ValueError: it is no row of a log.
    """
    step, epoch, rate, loss, *scores = row
    for text in (rate, loss, *filter(None, scores)):
        float(text)
    if len(row) != columns or int(step) <= last or int(epoch) < 0:
        raise ValueError(row)
    return int(step)
