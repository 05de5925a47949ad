"""The loop: steps, validations, rows of the log, checkpoints, and when it ends."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from svgd_onnx.distributed.communicator import any_of
from svgd_onnx.errors import Advice, UserError, option
from svgd_onnx.manifest import Manifest
from svgd_onnx.targets.session import rows_at_fault
from svgd_onnx.targets.training_progress import Validation
from svgd_onnx.training.at_chance import AtChance
from svgd_onnx.training.callbacks import Callback, Record
from svgd_onnx.training.evaluation import evaluate, score_names
from svgd_onnx.training.examples import Taken
from svgd_onnx.training.feed import Feed, Order
from svgd_onnx.training.metrics import Metric
from svgd_onnx.training.monitor import Monitor, after_epochs
from svgd_onnx.training.schedules import Rates
from svgd_onnx.training.state import TrainingState
from svgd_onnx.training.streams import StreamExamples
from svgd_onnx.training.tensorboard import TensorBoard
from svgd_onnx.training.training_log import TrainingLog

if TYPE_CHECKING:
    from svgd_onnx.training.progress import Progress


@dataclass
class Loop:
    """One call of `Trainer.train`, whose arguments were checked.

    Attributes:
        state: what it changes.
        manifest: of the artifacts.
        examples: to train on.
        order: in which order.
        total: steps in all.
        rates: of each step.
        followed: the metric that the rates follow, if they follow one.
        held_out: to evaluate on after each epoch, and at the end; None for no evaluation.
        metrics: of each loss, beside it.
        monitor: when to end early, and what is best.
        keeps_best: whether a new best checkpoint is saved and kept.
        log_every: log each step whose number is a multiple of this.
        checkpoint_every: save after each so many steps; None for at the end only.
        callbacks: to call.
        workers: threads that prepare batches.
        board: opened while it runs, and one of the callbacks; None for no TensorBoard.
        save: saves the checkpoint.
        is_stopping: whether to end after the step that is under way.
        waiting: the share of the time of steps that they waited for data.
    """

    state: TrainingState
    manifest: Manifest
    examples: Taken | StreamExamples
    order: Order
    total: int
    rates: Rates
    followed: str | None
    held_out: Taken | StreamExamples | None
    metrics: Sequence[Sequence[Metric]]
    monitor: Monitor
    keeps_best: bool
    log_every: int
    checkpoint_every: int | None
    callbacks: Sequence[Callback]
    workers: int = 0
    board: TensorBoard | None = None
    save: Callable[[], None] = lambda: None
    is_stopping: Callable[[], bool] = lambda: False
    waiting: float = 0.0
    _improves_no_more: bool = False
    _warned: bool = False
    _result: dict[str, float] = field(default_factory=dict)

    def run(self, log: Path | None, show_progress: bool) -> dict[str, float]:
        """Trains until there is nothing left to do, and saves.

        Args:
            log: the file with a row for each logged step.
            show_progress: whether to show a progress bar.

        Returns:
            The last step's loss, and the last validation.

        Raises:
            UserError: as `Trainer.train`.
        """
        from svgd_onnx.training.progress import Progress  # and rich, which is slow to import

        names = score_names(self.manifest, self.metrics) if self.held_out is not None else []
        step = self.state.progress.step
        self._follow()
        record, chance = None, AtChance(self.manifest)
        with (
            self.state.claim,
            self.board or nullcontext(),  # which may refuse its folder
            TrainingLog(log, self.state.beginning, names) as rows,
            Progress(self.total, step, show_progress and step < self.total) as bar,
            Feed(self.examples, self.order, range(step, self.total), self.workers) as feed,
        ):
            self.state.tidy()
            with self.state.written(rows, self.board):
                while not self._is_over():
                    record = self._step(feed, rows, bar)
                    chance.note(record.epoch, record.loss)
                if not self.state.is_saved:
                    self._save(record)
        if self.state.communicator.rank == 0:
            chance.warn()
            self._warn_of_no_update()
        return self._result

    @property
    def stopped_early(self) -> bool:
        """Whether there are steps left that are not made, as validation no longer improves."""
        return self._improves_no_more and self.state.progress.step < self.total

    @property
    def why_stopped(self) -> str | None:
        """Why there are steps left, as a clause; None where it did not stop early."""
        validations = self.state.progress.validations
        return self.monitor.why_over(validations) if self.stopped_early else None

    @property
    def best_step(self) -> int | None:
        """After how many steps what is monitored was the best; None where nothing is."""
        watched = self.keeps_best or self.monitor.patience is not None
        return self.monitor.best_step(self.state.progress.validations) if watched else None

    def _is_over(self) -> bool:
        if self.state.progress.step >= self.total or self.stopped_early:
            return True
        return any_of(self.state.communicator, self.is_stopping())

    def _step(self, feed: Feed, rows: TrainingLog, bar: Progress) -> Record:
        step = self.state.progress.step
        rate, epoch = self.rates.rate(step), self.order.epoch(step)
        numbers, arrays = feed.next()
        ends_epoch, number = self.order.ends_epoch(step), step + 1
        validates = self.held_out is not None and (ends_epoch or number == self.total)
        with self.state.held():  # a step and its row, or neither
            with rows_at_fault(self.examples.source, numbers):
                loss = self.state.step(arrays, rate)
            record = Record(number, epoch, rate, loss, {})
            if not validates:
                self._write(rows, record)
        self.waiting = feed.stepped()
        self._result["loss"] = loss
        if validates and self.held_out is not None:
            try:
                metrics = self._validate(self.held_out, ends_epoch)
                record = replace(record, metrics=metrics)
            finally:
                self._write(rows, record)
        bar.advance(self._result)
        for callback in self.callbacks:
            if callback is not self.board:
                callback.on_step(record)
        if ends_epoch:
            for callback in self.callbacks:
                callback.on_epoch(record)
        if self.state.progress.best_step == number or self._is_time_to_save(number):
            self._save(record)
        return record

    def _write(self, rows: TrainingLog, record: Record) -> None:
        """Writes a step's row and its events."""
        with self._saved_if_refused():
            if record.metrics or record.step % self.log_every == 0:
                rows.write(record.step, record.epoch, record.rate, record.loss, record.metrics)
            if self.board is not None:
                self.board.on_step(record)

    @contextmanager
    def _saved_if_refused(self) -> Iterator[None]:
        """Around what writes a row, or events: the steps so far are not lost with it.

        Raises:
            UserError: it cannot be written.
        """
        try:
            yield
        except UserError as error:
            if self.state.communicator.size > 1:  # others would wait
                raise
            try:
                self.save()
            except UserError:
                raise error from None
            raise UserError(
                f"{error} The checkpoint has the {self.state.progress.step:,} steps so far."
            ) from error

    def _validate(self, held_out: Taken | StreamExamples, ends_epoch: bool) -> dict[str, float]:
        values = self.state.communicator.from_first(
            lambda: evaluate(
                self.state.session, self.manifest, held_out, self.metrics, workers=self.workers
            )
        )
        self._result.update({f"validation_{name}": value for name, value in values.items()})
        if ends_epoch:
            self.state.note(values, self._is_best)
            self._follow()
            self._warn_of_no_number(values)
        return values

    def _follow(self) -> None:
        """Takes the validations so far into account."""
        validations = self.state.progress.validations
        self._improves_no_more = self.monitor.is_over(validations)
        if self.followed is not None:
            self.rates.follow(after_epochs(validations, self.followed))

    def _warn_of_no_update(self) -> None:
        """Says that nothing has changed yet, where fewer batches were taken than a step is of."""
        taken = self.state.progress.step - self.state.progress.skipped
        wanted = self.manifest.accumulation_steps
        if taken < wanted and wanted > 1:
            warnings.warn(
                Advice(
                    f"No parameter has changed yet: each change is of {wanted:,} batches "
                    f"({option('accumulation_steps')} of convert), and there were {taken:,}."
                ),
                stacklevel=3,
            )

    def _warn_of_no_number(self, values: Mapping[str, float]) -> None:
        """Says once that what training depends on is no number."""
        watched = {self.monitor.metric} if self.keeps_best or self.monitor.patience else set()
        if self.followed is not None:
            watched.add(self.followed)
        missing = sorted(name for name in watched if not isfinite(values[name]))
        if missing and not self._warned:
            self._warned = True
            warnings.warn(
                Advice(
                    f"The validation's {missing[0]} is not a finite number after step "
                    f"{self.state.progress.step} ({values[missing[0]]}): such an epoch counts as one without "
                    "improvement, and is never the best."
                ),
                stacklevel=2,
            )

    def _is_best(self, validations: Sequence[Validation], best_step: int | None) -> bool:
        return self.keeps_best and self.monitor.is_best(validations, best_step)

    def _is_time_to_save(self, number: int) -> bool:
        every = self.checkpoint_every
        return number < self.total and every is not None and number % every == 0

    def _save(self, record: Record | None) -> None:
        self.save()
        if record is not None:
            for callback in self.callbacks:
                with self._saved_if_refused() if callback is self.board else nullcontext():
                    callback.on_checkpoint(record)
