"""The CSV file with a row for each logged step."""

from __future__ import annotations

import contextlib
import csv
import io
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from svgd_onnx.errors import Advice, UserError
from svgd_onnx.files import PathLike, explained, followed, whole_file
from svgd_onnx.training.beginning import (
    BEFORE,
    NOTHING,
    Beginning,
    count_up_to,
    put_back,
    record_with,
    set_aside,
)

COLUMNS = ("step", "epoch", "learning_rate", "loss", "validation_loss", "validation_accuracy")
_BEGINNING = ",".join(COLUMNS).encode()
_VALIDATION = "validation_"
_FIRST_SCORE = COLUMNS.index("validation_loss")


class TrainingLog:
    """Writes rows as training goes on, so that they can be read while it does.

    Args:
        path: the file, or None for no log.
        beginning: rows up to its step are kept, those of steps that were lost with an interruption go; from
            step 0 on the file is written anew. Where it replaces a checkpoint, or begins at step 0, the file of
            before lies beside until `saved`, and comes back where that was not called.
        metrics: of the validation, beside the loss; each has a column. So do those that are in the file
            already.

    Attributes:
        record: of the rows so far, for the checkpoint.
    """

    def __init__(
        self, path: PathLike | None, beginning: Beginning, metrics: Iterable[str] = ()
    ) -> None:
        self._path = None if path is None else Path(path)
        self._beginning = beginning
        self.record = beginning.rows.last
        self._is_untouched = self._is_cut = False
        self._columns = list(dict.fromkeys([*COLUMNS, *(_VALIDATION + name for name in metrics)]))
        self._file: Any = None

    def __enter__(self) -> TrainingLog:
        if self._path is None:
            return self
        if not self._path.parent.is_dir():
            raise UserError(f"There is no folder '{self._path.parent}' for the log.")
        self._put_back()
        kept = self._kept_rows(self._path)
        if self._beginning.sets_aside and not self._aside.is_file():
            set_aside(followed(self._path), self._aside)
            self._is_untouched = True
        try:
            with whole_file(self._path) as temporary, temporary.open("w", newline="") as file:
                writer = csv.DictWriter(file, self._columns, restval="")
                writer.writeheader()
                writer.writerows(kept)
            with explained(self._path):
                self._file = self._path.open("a", newline="")
        except UserError:
            self._close()
            raise
        self._writer = csv.writer(self._file)
        self.record = NOTHING
        for row in kept:
            self.record = record_with(self.record, _point(row))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # of a row of which it was said
                self._file.close()
        self._close()

    def _close(self) -> None:
        """Undoes what was done here, if nothing was trained."""
        if self._path is not None and self._is_untouched:
            put_back(self._aside, followed(self._path))

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
        row = [step, epoch, learning_rate, loss, *(validation.get(name, "") for name in names)]
        try:
            self._writer.writerow(row)
            with contextlib.suppress(OSError):
                self._file.flush()
            self._file.flush()  # after an error of a moment the row is still to be written
        except OSError as error:
            raise UserError(
                f"The row of step {step:,} cannot be written to the log '{self._path}' "
                f"({error.strerror or error}): make room, or log elsewhere."
            ) from error
        self._is_untouched = False
        self.record = record_with(
            self.record or NOTHING, _point(dict(zip(self._columns, map(str, row))))
        )

    def saved(self) -> None:
        """Says that there is a checkpoint of the run.

        Raises:
            UserError: what lay beside cannot be removed.
        """
        self._is_untouched = False
        if self._path is not None:
            with explained(self._aside):
                self._aside.unlink(missing_ok=True)

    @property
    def _aside(self) -> Path:
        assert self._path is not None
        place = followed(self._path)
        return place.with_name(f"{place.name}{BEFORE}")

    def _put_back(self) -> None:
        """Undoes what a run did here that has not saved, or forgets what one set aside that has."""
        assert self._path is not None
        if not self._aside.is_file():
            return
        beginning, own = self._beginning, self._beginning.rows.own
        points: list[str] = []
        with contextlib.suppress(UserError):
            points.extend(map(_point, self._rows(self._path)))
        if beginning.goes_on_in(beginning.rows, points):
            return
        if own and count_up_to(own, points) is not None:
            self.saved()
        else:
            put_back(self._aside, followed(self._path))

    def _kept_rows(self, path: Path) -> list[dict[str, str]]:
        """The rows of the steps that training goes on from."""
        rows: list[dict[str, str]] = []
        if self._beginning.step:
            for row in self._rows(path):
                if int(row["step"]) > self._beginning.step:
                    break  # what follows was lost with an interruption
                rows.append(row)
                if int(row["step"]) == self._beginning.step:
                    break
            else:
                self._warn_of_a_cut_row(path)
        last = self._beginning.rows.last
        if last is None:
            return rows
        count = count_up_to(last, map(_point, rows))
        if count is not None and last != NOTHING:
            return rows[:count]
        if rows and not self._is_cut:
            warnings.warn(
                Advice(
                    f"The log '{path}' is not as this training left it: its rows up to step "
                    f"{self._beginning.step:,} are kept, and may be of other runs."
                ),
                stacklevel=4,
            )
        return rows

    def _warn_of_a_cut_row(self, path: Path) -> None:
        if self._is_cut:
            warnings.warn(
                Advice(
                    f"The last row of the log '{path}' is cut, and is left out: its step may be missing there."
                ),
                stacklevel=5,
            )

    def _rows(self, path: Path) -> Iterator[dict[str, str]]:
        """The rows of a log, one by one: what follows the last that is asked for may be anything.

        A row is whole if a line end follows it: without one its last number may be cut.

        Raises:
            UserError: it is none, or is damaged.
        """
        self._is_cut = False
        if not path.is_file():
            return
        whole, end, cut = path.read_bytes().rpartition(b"\n")
        if not end and (_BEGINNING.startswith(cut) or cut.startswith(_BEGINNING)):
            return  # nothing was written yet
        self._is_cut = bool(cut)
        lines = io.StringIO((whole + end).decode("utf-8", "replace"), newline="")
        last = 0
        try:
            reader = csv.reader(lines, strict=True)
            columns = next(reader, [])
            if not _is_header(columns):
                raise UserError(f"'{path}' is not a log of svgd-onnx: choose another file.")
            self._columns = list(dict.fromkeys([*columns, *self._columns]))
            for row in reader:
                last = _step(row, last, len(columns))
                yield dict(zip(columns, row))
        except (csv.Error, ValueError) as error:
            raise UserError(
                f"The log '{path}' is damaged at line {reader.line_num}: restore it from a copy, or log to "
                "another file."
            ) from error


def _point(row: Mapping[str, str]) -> str:
    """What of a row is in the record: columns may be added, which are empty in it."""
    return ",".join(f"{column}={row[column]}" for column in sorted(row) if row[column])


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
