"""TensorBoard's event files of a training: a file a run, in a folder of the training's own.

A file is a row of records: length (uint64), its checksum, an `Event` of TensorBoard's protobuf, its checksum.
When a training goes on, events of steps that were lost with an interruption go, as rows of its log do, and what
is new goes into another file beside, as TensorBoard reads all that are there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import struct
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from svgd_onnx.errors import Advice, UserError, option
from svgd_onnx.files import (
    clear,
    explained,
    explained_reading,
    followed,
    in_turn,
    require_file,
    whole_file,
)
from svgd_onnx.training.beginning import BEFORE, Beginning, put_back, set_aside
from svgd_onnx.training.points import NOTHING, Point, Recorder, begins_a_run, places

_MARK = "tfevents"  # by which TensorBoard knows event files
_ASIDE = BEFORE.removeprefix(".")  # in its place in names of files that another run is replacing
_VERSION = "brain.Event:2"
_FLUSH_SECONDS = 1.0
_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")
_HEAD = _LENGTH.size + _CHECKSUM.size

# By heading and title: a "Margin" of the tags of a curve and those around it, or "Multiline" of patterns.
Charts = dict[str, dict[str, tuple[str, list[str]]]]


class EventFile:
    """Writes the events of a run; within a `with` block.

    They are on the disk within a second, after `flush` and at the end.

    Args:
        folder: for event files of this training alone; made if it is not there.
        training: the folder of artifacts.
        beginning: events up to its step are kept. Where it replaces a checkpoint, or begins at step 0, those of
            before lie beside until `saved`, unseen by TensorBoard, and come back where that was not called.
        followed_tag: of the number that each step has, by which runs are told apart.

    Raises:
        UserError: the folder holds events of something else or lies among the artifacts, it cannot be written,
            a file in it is damaged, or tensorboardX is not installed.
    """

    def __init__(
        self, folder: Path, training: Path, beginning: Beginning, followed_tag: str
    ) -> None:
        self._folder, self._beginning, self._tag = folder, beginning, followed_tag
        self._recorder: Recorder | None = None
        self._is_broken = False
        if followed(folder).is_relative_to(followed(training)):
            raise UserError(
                f"'{folder}' lies in '{training}', which is for artifacts alone: choose another "
                f"{option('tensorboard')}."
            )
        self._ending = f".svgd-{hashlib.sha256(os.fsencode(followed(training))).hexdigest()[:8]}"
        self._events = _events()
        self._flushed = 0.0
        self._is_empty = True

    def __enter__(self) -> EventFile:
        if os.path.lexists(self._folder) and not self._folder.is_dir():
            raise UserError(
                f"'{self._folder}' is no folder: choose another {option('tensorboard')}."
            )
        with explained(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            clear(self._folder)
            files = self._files(_MARK)
        for file in files:
            require_file(file)
        with in_turn(self._folder):
            return self._begin_file()

    def _begin_file(self) -> EventFile:
        from tensorboardX import RecordWriter

        for file in self._files(_MARK):
            if self._ending not in file.name:
                raise UserError(
                    f"'{self._folder}' has events of something else, or of this folder by another name, "
                    f"'{file.name}', which would be one run with these: give each training a "
                    f"{option('tensorboard')} of its own."
                )
        beginning = self._beginning
        self._put_back()
        last_step, points, are_known = self._kept()
        self._begun = beginning.events.last or NOTHING, points, are_known
        self._recorder = Recorder(*self._begun)
        # what was there, or that nothing was, may be needed if this run ends before it saves
        sets_aside = beginning.sets_aside or not (points and are_known)
        self._is_untouched = sets_aside and not self._asides()
        files = self._files(_MARK)
        if self._is_untouched:
            for file in files or [self._folder / f"events.out.{_MARK}{self._ending}"]:
                set_aside(file, self._renamed(file, _MARK, _ASIDE))
        for file in files:
            self._drop_lost(file, last_step)
        host, begun = socket.gethostname(), f"{self._ending}-{beginning.step:09d}"
        name = f"events.out.{_MARK}.{time.time():.0f}.{host}{begun}"
        self._path = self._folder / name
        with explained(self._path):
            self._writer = RecordWriter(str(self._path))
        self._write(self._events.Event(wall_time=time.time(), file_version=_VERSION))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.flush()
        finally:
            with contextlib.suppress(OSError):  # which the last write has said
                self._writer.close()
                if self._is_empty:
                    self._path.unlink()
            if self._is_untouched:  # nothing was trained
                self._put_asides_back()

    @property
    def record(self) -> str | None:
        """Of the events so far, for the checkpoint; where one could not be written, of those on the disk."""
        return self._beginning.events.last if self._recorder is None else self._recorder.record

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers at a step, by tag.

        Raises:
            UserError: they cannot be written.
        """
        self._is_empty = self._is_untouched = False
        event = self._events.Event(wall_time=time.time(), step=step)
        for tag, value in values.items():
            event.summary.value.add(tag=tag, simple_value=value)
        self._write(event)
        assert self._recorder is not None
        for point in self._points_of(event):
            self._recorder.add(point)

    def arrange(self, charts: Charts) -> None:
        """Says which curves TensorBoard's page "Custom scalars" shows together."""
        from tensorboardX.summary import custom_scalars

        self._write(self._events.Event(wall_time=time.time(), summary=custom_scalars(charts)))

    def flush(self) -> None:
        """Puts what was written onto the disk."""
        if self._is_broken:
            return
        with self._written():
            self._writer.flush()
        self._flushed = time.monotonic()

    def saved(self) -> None:
        """Says that there is a checkpoint of the run.

        Raises:
            UserError: what lay beside cannot be removed.
        """
        self._is_untouched = False
        with (
            explained(self._folder),
            contextlib.suppress(FileNotFoundError),
        ):  # the folder may be gone
            for aside in self._asides():
                aside.unlink()

    def _put_back(self) -> None:
        """Undoes what a run did here that has not saved, or forgets what one set aside that has."""
        asides, beginning = self._asides(), self._beginning
        if asides:
            here, aside = ([*self._points(files)] for files in (self._files(_MARK), asides))
            beginning.settle(beginning.events, here, aside, self.saved, self._put_asides_back)

    def _put_asides_back(self) -> None:
        asides = self._asides()
        if asides:
            with explained(self._folder):
                for file in self._files(_MARK):
                    file.unlink()
        for aside in asides:
            put_back(aside, self._renamed(aside, _ASIDE, _MARK))

    def _asides(self) -> list[Path]:
        return [each for each in self._files(f".{_ASIDE}.") if self._ending in each.name]

    def _kept(self) -> tuple[int, list[Point], bool]:
        """The last step of the training which goes on, its points, and whether its record tells of them."""
        step, last = self._beginning.step, self._beginning.events.last
        points = [each for each in self._points(self._files(_MARK)) if each.step <= step]
        if last is None or not points:
            return step, points, not points
        found = places(last, points)
        is_cut = begins_a_run(last, points, found)  # and not as it was
        if (found and not is_cut) or last == NOTHING:  # what follows is of a run that was lost
            count = found[-1].stop if found else 0
            step = points[count].step - 1 if count < len(points) else step
            return step, points[:count], True
        warnings.warn(
            Advice(
                f"The events in '{self._folder}' are not as this training left them: those up to step "
                f"{step:,} are kept, and may be of other runs."
            ),
            stacklevel=4,
        )
        return step, points, False

    def _points(self, files: Iterable[Path]) -> Iterator[Point]:
        """Those of the followed number, in the order in which they were written."""
        for file in files:
            for event, _ in self._events_in(file):
                yield from self._points_of(event)

    def _points_of(self, event: Any) -> list[Point]:
        """An event's numbers as a file has them, in 32 bits, where it has the one that is followed."""
        values = event.summary.value
        if all(value.tag != self._tag for value in values):
            return []
        numbers = (f"{value.tag}={value.simple_value.hex()}" for value in values)
        return [Point(event.step, " ".join([str(event.step), *numbers]))]

    def _renamed(self, file: Path, mark: str, other: str) -> Path:
        return file.with_name(file.name.replace(f".{mark}.", f".{other}.", 1))

    def _files(self, mark: str) -> list[Path]:
        """Those with it in their names, by the steps they begin at; no hidden ones, as left over."""
        found = (each for each in self._folder.iterdir() if mark in each.name)
        return sorted((each for each in found if each.name[0] != "."), key=_begin)

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        """Around what writes.

        Raises:
            UserError: it cannot be written.
        """
        try:
            yield
        except OSError as error:
            self._is_broken = True
            self._record_what_is_there()
            raise UserError(
                f"Events cannot be written to '{self._path}' ({error.strerror or error}): make room, or choose "
                f"another {option('tensorboard')}."
            ) from error

    def _record_what_is_there(self) -> None:
        self._recorder = Recorder(*self._begun)
        with contextlib.suppress(UserError):
            for point in self._points([self._path]):
                self._recorder.add(point)

    def _write(self, event: Any) -> None:
        with self._written():
            self._writer.write(event.SerializeToString())
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self.flush()

    def _drop_lost(self, file: Path, last_step: int) -> None:
        """Leaves the events of a file up to a step; a file without any goes."""
        kept, is_any, size = [], False, 0
        for event, record in self._events_in(file, checked=False):  # as it was a moment ago
            size += len(record)
            if event.step <= last_step:
                kept.append(record)
                is_any = is_any or event.step > 0
        with explained(file):
            is_cut = size < file.stat().st_size
            if not is_any:
                file.unlink()
                return
        if is_cut or sum(map(len, kept)) < size:
            with whole_file(file, of_ours=True) as temporary:
                temporary.write_bytes(b"".join(kept))

    def _events_in(self, file: Path, *, checked: bool = True) -> Iterator[tuple[Any, bytes]]:
        """The events of a file, each with its whole record, whose checksums may be looked at.

        Raises:
            UserError: it cannot be read, or is damaged.
        """
        from google.protobuf.message import DecodeError

        with explained_reading(file):
            content = file.read_bytes()
        try:
            for record in _records(content):
                if checked:
                    _check(record)
                body = record[_HEAD : -_CHECKSUM.size]
                yield self._events.Event.FromString(body), record
        except (DecodeError, ValueError) as error:
            raise UserError(
                f"'{file}' is damaged: delete it, or choose another {option('tensorboard')}."
            ) from error


def _begin(file: Path) -> tuple[int, str]:
    """Which step a file begins at, by its name, and the name. The time there may be of another clock."""
    step = file.name.rpartition("-")[2]
    return int(step) if step.isdecimal() else 0, file.name


def _records(content: bytes) -> Iterator[bytes]:
    """The whole records of a file; the last may be cut, where a process was killed.

    Raises:
        ValueError: a length is not that of its checksum.
    """
    begin = 0
    while begin + _HEAD <= len(content):
        head = content[begin : begin + _HEAD]
        _compare(head[: _LENGTH.size], head[_LENGTH.size :])
        end = begin + _HEAD + _LENGTH.unpack_from(head)[0] + _CHECKSUM.size
        if end > len(content):
            return
        yield content[begin:end]
        begin = end


def _check(record: bytes) -> None:
    """Raises ValueError where a record's content is not that of its checksum."""
    _compare(record[_HEAD : -_CHECKSUM.size], record[-_CHECKSUM.size :])


def _compare(content: bytes, checksum: bytes) -> None:
    from tensorboardX.record_writer import masked_crc32c

    if masked_crc32c(content) != _CHECKSUM.unpack(checksum)[0]:
        raise ValueError


def _events() -> Any:
    """What tensorboardX knows of TensorBoard's events."""
    try:
        from tensorboardX.proto import event_pb2
    except ModuleNotFoundError as error:
        raise UserError(
            f"{option('tensorboard')} needs tensorboardX, which is not installed: pip install "
            "'svgd-onnx[tensorboard]'."
        ) from error
    return event_pb2
