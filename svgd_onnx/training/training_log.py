"""The CSV file with a row for each logged step."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from svgd_onnx.errors import Advice, UserError, option
from svgd_onnx.files import (
    PathLike,
    explained,
    explained_reading,
    followed,
    hold,
    in_turn,
    let_go,
    whole_file,
)
from svgd_onnx.training.beginning import Beginning, aside_of, put_back, set_aside
from svgd_onnx.training.points import NOTHING, Point, Recorder, begins_a_run, places

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
    """

    def __init__(
        self, path: PathLike | None, beginning: Beginning, metrics: Iterable[str] = ()
    ) -> None:
        self._path = None if path is None else Path(path)
        self._beginning = beginning
        self._recorder: Recorder | None = None
        self._is_untouched = self._is_gone = False
        self._columns = list(dict.fromkeys([*COLUMNS, *(_VALIDATION + name for name in metrics)]))
        self._file: Any = None

    def __enter__(self) -> TrainingLog:
        if self._path is None:
            return self
        if not self._path.parent.is_dir():
            raise UserError(f"There is no folder '{self._path.parent}' for the log.")
        with in_turn(followed(self._path).parent), self._nobody_else_writes(self._path):
            self._put_back()
            kept, are_known = self._kept_rows(self._path)
            # what was there may be needed if this run ends before it saves
            sets_aside = self._beginning.sets_aside or not (kept and are_known)
            if sets_aside and not self._aside.is_file():
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
            hold(self._file)
        self._writer = csv.writer(self._file)
        points, last = [*map(_point, kept)], self._beginning.rows.last
        self._recorder = Recorder(last or NOTHING, points, are_known)
        return self

    @contextlib.contextmanager
    def _nobody_else_writes(self, path: Path) -> Iterator[None]:
        """Around what replaces a log.

        Raises:
            UserError: another training writes it.
        """
        if not path.is_file():
            yield
            return
        with explained(path):
            file = path.open("ab")
        with file:
            if not hold(file):
                raise UserError(
                    f"Another training writes to the log '{path}': give each {option('log')} of its own."
                )
            try:
                yield
            finally:
                let_go(file)

    @property
    def record(self) -> str | None:
        """Of the rows so far, for the checkpoint."""
        return self._beginning.rows.last if self._recorder is None else self._recorder.record

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            let_go(self._file)
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
        assert self._recorder is not None
        self._recorder.add(_point(dict(zip(self._columns, map(str, row)))))

    def saved(self) -> None:
        """Says that there is a checkpoint of the run.

        Raises:
            UserError: what lay beside cannot be removed.

        Warns:
            once, where the log is no longer there.
        """
        self._is_untouched = False
        if self._path is not None:
            with explained(self._aside):
                self._aside.unlink(missing_ok=True)
            self._look_for(self._path)

    def _look_for(self, path: Path) -> None:
        if self._file is None or self._file.closed or self._is_gone:
            return
        try:
            is_there = os.path.samestat(path.stat(), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            is_there = False
        except OSError:  # nothing is known
            return
        if not is_there:
            self._is_gone = True
            _warn(
                f"The log '{path}' was moved, removed or replaced while training went on: rows since it began "
                "are not in it, nor will be those to come."
            )

    @property
    def _aside(self) -> Path:
        assert self._path is not None
        return aside_of(followed(self._path))

    def _put_back(self) -> None:
        """Undoes what a run did here that has not saved, or forgets what one set aside that has."""
        assert self._path is not None
        if not self._aside.is_file():
            return
        place, beginning = followed(self._path), self._beginning
        beginning.settle(
            beginning.rows,
            _points(place),
            _points(self._aside),
            self.saved,
            lambda: put_back(self._aside, place),
        )

    def _kept_rows(self, path: Path) -> tuple[list[dict[str, str]], bool]:
        """The rows of the steps that training goes on from, and whether its record tells of them."""
        if not self._beginning.step:
            return [], True
        content, rows, is_cut = _content(path), list[dict[str, str]](), False
        self._columns = list(dict.fromkeys([*content.columns, *self._columns]))
        for row in content.rows:
            if int(row["step"]) > self._beginning.step:
                break  # what follows was lost with an interruption
            rows.append(row)
            if int(row["step"]) == self._beginning.step:
                break
        else:
            is_cut = content.is_cut
        last = self._beginning.rows.last
        points = [*map(_point, rows)]
        found = places(last or NOTHING, points)
        is_changed = begins_a_run(last or NOTHING, points, found)
        if (found and not is_changed) or last == NOTHING:  # what follows is of a run that was lost
            return rows[: found[-1].stop if found else 0], True
        if is_cut:
            _warn(
                f"The last row of the log '{path}' is cut, and is left out: its step may be missing there."
            )
        elif rows and last is not None:
            _warn(
                f"The log '{path}' is not as this training left it: its rows up to step "
                f"{self._beginning.step:,} are kept, and may be of other runs."
            )
        return rows, not rows


@dataclass(frozen=True)
class _Content:
    """Of a log.

    Attributes:
        columns: by its header.
        rows: one by one: what follows the last that is asked for may be anything.
        is_cut: whether the last has no line end: its last number may be cut, and it is not among them.
    """

    columns: Sequence[str] = ()
    rows: Iterator[dict[str, str]] = field(default_factory=lambda: iter(()))
    is_cut: bool = False


def _content(path: Path) -> _Content:
    """What a log has; of one that is not there, or was not begun, nothing.

    Raises:
        UserError: it is none, or is damaged; this also while rows are asked for.
    """
    if not path.is_file():
        return _Content()
    with explained_reading(path):
        whole, end, cut = path.read_bytes().rpartition(b"\n")
    if not end and (_BEGINNING.startswith(cut) or cut.startswith(_BEGINNING)):
        return _Content()
    lines = io.StringIO((whole + end).decode("utf-8", "replace"), newline="")
    reader = csv.reader(lines, strict=True)

    @contextlib.contextmanager
    def damage_explained() -> Iterator[None]:
        try:
            yield
        except (csv.Error, ValueError) as error:
            raise UserError(
                f"The log '{path}' is damaged at line {reader.line_num}: restore it from a copy, or log to "
                "another file."
            ) from error

    def rows() -> Iterator[dict[str, str]]:
        last = 0
        with damage_explained():
            for row in reader:
                last = _step(row, last, len(columns))
                yield dict(zip(columns, row))

    with damage_explained():
        columns = next(reader, [])
    if not _is_header(columns):
        raise UserError(f"'{path}' is not a log of svgd-onnx: choose another file.")
    return _Content(columns, rows(), bool(cut))


def _warn(sentence: str) -> None:
    warnings.warn(Advice(sentence), stacklevel=5)


def _point(row: Mapping[str, str]) -> Point:
    """What of a row is in the record: columns may be added, which are empty in it."""
    text = ",".join(f"{column}={row[column]}" for column in sorted(row) if row[column])
    return Point(int(row["step"]), text)


def _points(path: Path) -> list[Point]:
    """Of a log, up to where it is damaged."""
    points = list[Point]()
    with contextlib.suppress(UserError):
        points.extend(map(_point, _content(path).rows))
    return points


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
