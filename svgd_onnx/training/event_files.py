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
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from svgd_onnx.errors import Advice, UserError, option
from svgd_onnx.files import explained, followed, require_file, whole_file
from svgd_onnx.training.beginning import (
    BEFORE,
    NOTHING,
    Beginning,
    count_up_to,
    put_back,
    record_of,
    record_with,
    set_aside,
)

_MARK = "tfevents"  # by which TensorBoard knows event files
_ASIDE = BEFORE.removeprefix(".")  # in its place in names of files that another run is replacing
_VERSION = "brain.Event:2"
_FLUSH_SECONDS = 1.0
_LENGTH, _CHECKSUM = struct.Struct("<Q"), 4

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

    Attributes:
        record: of the events so far, for the checkpoint.

    Raises:
        UserError: the folder holds events of something else or lies among the artifacts, it cannot be written,
            a file in it is damaged, or tensorboardX is not installed.
    """

    def __init__(
        self, folder: Path, training: Path, beginning: Beginning, followed_tag: str
    ) -> None:
        self._folder, self._beginning, self._tag = folder, beginning, followed_tag
        self.record = beginning.events.last
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
        from tensorboardX import RecordWriter

        with explained(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            files = self._files(_MARK)
        for file in files:
            require_file(file)
        for file in files:
            if self._ending not in file.name:
                raise UserError(
                    f"'{self._folder}' has events of something else, '{file.name}', which would be one run "
                    f"with these: give each training a {option('tensorboard')} of its own."
                )
        beginning = self._beginning
        self._put_back()
        last_step = self._last_step()
        self._is_untouched = beginning.sets_aside and not self._asides()
        for file in self._files(_MARK):
            if self._is_untouched:
                set_aside(file, self._renamed(file, _MARK, _ASIDE))
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

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers at a step, by tag."""
        self._is_empty = self._is_untouched = False
        event = self._events.Event(wall_time=time.time(), step=step)
        for tag, value in values.items():
            event.summary.value.add(tag=tag, simple_value=value)
        self._write(event)
        for point in self._points_of(event):
            self.record = record_with(self.record or NOTHING, point)

    def arrange(self, charts: Charts) -> None:
        """Says which curves TensorBoard's page "Custom scalars" shows together."""
        from tensorboardX.summary import custom_scalars

        self._write(self._events.Event(wall_time=time.time(), summary=custom_scalars(charts)))

    def flush(self) -> None:
        """Puts what was written onto the disk."""
        with explained(self._path):
            self._writer.flush()
        self._flushed = time.monotonic()

    def saved(self) -> None:
        """Says that there is a checkpoint of the run.

        Raises:
            UserError: what lay beside cannot be removed.
        """
        self._is_untouched = False
        with explained(self._folder):
            for aside in self._asides():
                aside.unlink()

    def _put_back(self) -> None:
        """Undoes what a run did here that has not saved, or forgets what one set aside that has."""
        if self._asides():
            points = [point for _, point in self._points()]
            beginning = self._beginning
            beginning.settle(beginning.events, points, self.saved, self._put_asides_back)

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

    def _last_step(self) -> int:
        """That of the last event that is of the training which goes on."""
        beginning = self._beginning
        kept = [each for each in self._points() if each[0] <= beginning.step]
        last = beginning.events.last
        count = None if last is None else count_up_to(last, (point for _, point in kept))
        step = beginning.step
        if count is not None:
            if count < len(kept):
                step = kept[count][0] - 1  # of another run
            kept = kept[:count]
        elif last is not None and kept:
            warnings.warn(
                Advice(
                    f"The events in '{self._folder}' are not as this training left them: those up to step "
                    f"{beginning.step:,} are kept, and may be of other runs."
                ),
                stacklevel=4,
            )
        self.record = record_of(point for _, point in kept)
        return step

    def _points(self) -> Iterator[tuple[int, str]]:
        """Steps and points of the followed number, in the order in which they were written."""
        for file in self._files(_MARK):
            with explained(file):
                content = file.read_bytes()
            for record in _records(content):
                event = self._parsed(file, record)
                yield from ((event.step, point) for point in self._points_of(event))

    def _points_of(self, event: Any) -> list[str]:
        """An event's numbers as a file has them, in 32 bits, where it has the one that is followed."""
        values = event.summary.value
        if all(value.tag != self._tag for value in values):
            return []
        return [" ".join([str(event.step), *(f"{v.tag}={v.simple_value.hex()}" for v in values)])]

    def _renamed(self, file: Path, mark: str, other: str) -> Path:
        return file.with_name(file.name.replace(f".{mark}.", f".{other}.", 1))

    def _files(self, mark: str) -> list[Path]:
        """Those with it in their names, in the order in which they were begun."""
        return sorted(each for each in self._folder.iterdir() if mark in each.name)

    def _write(self, event: Any) -> None:
        with explained(self._path):
            self._writer.write(event.SerializeToString())
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self.flush()

    def _drop_lost(self, file: Path, last_step: int) -> None:
        """Leaves the events of a file up to a step; a file without any goes."""
        with explained(file):
            content = file.read_bytes()
        kept, is_any = [], False
        for record in _records(content):
            event = self._parsed(file, record)
            if event.step <= last_step:
                kept.append(record)
                is_any = is_any or event.step > 0
        if not is_any:
            with explained(file):
                file.unlink()
        elif sum(map(len, kept)) < len(content):
            with whole_file(file, of_ours=True) as temporary:
                temporary.write_bytes(b"".join(kept))

    def _parsed(self, file: Path, record: bytes) -> Any:
        from google.protobuf.message import DecodeError

        try:
            body = record[_LENGTH.size + _CHECKSUM : -_CHECKSUM]
            return self._events.Event.FromString(body)
        except DecodeError as error:
            raise UserError(
                f"'{file}' is damaged: delete it, or choose another {option('tensorboard')}."
            ) from error


def _records(content: bytes) -> Iterator[bytes]:
    """The whole records of a file; the last may be cut, where a process was killed."""
    begin = 0
    while begin + _LENGTH.size <= len(content):
        (length,) = _LENGTH.unpack_from(content, begin)
        end = begin + _LENGTH.size + length + 2 * _CHECKSUM
        if end > len(content):
            return
        yield content[begin:end]
        begin = end


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
