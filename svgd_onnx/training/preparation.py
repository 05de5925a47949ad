"""From the arguments of `Trainer.train` to a loop: everything is checked before the first step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from svgd_onnx.argument_types import real_number, several_texts, whole_number, yes_or_no
from svgd_onnx.errors import UserError, option
from svgd_onnx.manifest import Manifest
from svgd_onnx.training.augmentation import Augment
from svgd_onnx.training.batches import BatchOrder
from svgd_onnx.training.callbacks import Callback, check_callbacks
from svgd_onnx.training.examples import Given, Taken
from svgd_onnx.training.feed import (
    check_class_names,
    check_labels_have_names,
    check_workers,
    names_by_label,
    same_classes,
    same_label_classes,
    take_data,
)
from svgd_onnx.training.length import check_length, check_positive
from svgd_onnx.training.loop import Loop
from svgd_onnx.training.metrics import LOSS, Metric, check_watched, metrics_for
from svgd_onnx.training.monitor import Monitor
from svgd_onnx.training.ranks import ShareOfOrder, check_told_alike, share_of_batch
from svgd_onnx.training.schedules import Rates, Schedule, as_schedule, check_rate
from svgd_onnx.training.start import check_batch_size, check_resume
from svgd_onnx.training.state import TrainingState
from svgd_onnx.training.streams import StreamExamples, StreamOrder

_COUNTS = ("batch_size", "log_every", "workers")
_COUNTS_IF_ANY = ("epochs", "steps", "early_stopping", "checkpoint_every", "checkpoint_keep")
# What steps follow from, on which ranks have to agree.
_TOLD = (
    *("epochs", "steps", "batch_size", "learning_rate", "shuffle", "early_stopping", "monitor"),
    *("min_delta", "checkpoint_every", "checkpoint_best", "checkpoint_keep"),
)
_SWITCHES = ("shuffle", "checkpoint_best", "resume")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Arguments of `Trainer.train`, which says what each is."""

    epochs: int | None
    steps: int | None
    batch_size: int
    learning_rate: float
    schedule: Schedule | Mapping[int, float] | str | None
    metrics: Iterable[str]
    shuffle: bool
    early_stopping: int | None
    monitor: str | None
    min_delta: float | None
    checkpoint_every: int | None
    checkpoint_best: bool
    checkpoint_keep: int | None
    log_every: int
    workers: int
    callbacks: Iterable[Callback]
    resume: bool

    def __post_init__(self) -> None:
        """Takes numbers and switches of any type.

        Raises:
            UserError: one is none.
        """
        taken: dict[str, Any] = {"learning_rate": check_rate(self.learning_rate)}
        for name in _COUNTS:
            taken[name] = whole_number(name, getattr(self, name))
        for name in _SWITCHES:
            taken[name] = yes_or_no(name, getattr(self, name))
        for name in _COUNTS_IF_ANY:
            if getattr(self, name) is not None:
                taken[name] = whole_number(name, getattr(self, name))
        if self.min_delta is not None:
            taken["min_delta"] = real_number("min_delta", self.min_delta)
        for name, value in taken.items():
            object.__setattr__(self, name, value)


def prepare(
    folder: Path,
    state: TrainingState,
    options: Options,
    examples: Given,
    validation: Given | float | None,
    augment: Augment | None,
) -> Loop:
    """A loop, which lacks what saves and what stops it only.

    Raises:
        UserError: an option or the data does not fit, or there is no room for what is to be kept.
    """
    manifest = state.manifest
    schedule = as_schedule(options.schedule)
    check_length(options.epochs, options.steps)
    check_positive(
        log_every=options.log_every,
        checkpoint_every=options.checkpoint_every,
        checkpoint_keep=options.checkpoint_keep,
    )
    check_positive(batch_size=options.batch_size)
    check_batch_size(manifest, share_of_batch(state.communicator, options.batch_size))
    check_workers(options.workers)
    check_resume(folder, state.progress.step, options.resume)
    callbacks = check_callbacks(options.callbacks)
    monitor = _monitor(options)
    metrics = _metrics(manifest, options, schedule, monitor, validation is not None)
    taken, held_out = take_data(
        examples,
        validation,
        manifest,
        augment,
        batch_size=options.batch_size,
        seed=state.progress.seed,
        epochs=options.epochs,
        known=names_by_label(manifest, state.progress),
        numbered=state.progress.step > 0,
    )
    classes = same_classes(tuple(state.progress.classes), taken, held_out)
    by_label: dict[str, tuple[str, ...]] = {}
    if len(manifest.labels) > 1:
        by_label = same_label_classes(state.progress.label_classes, taken, held_out)
    check_class_names(manifest, classes, by_label)
    check_labels_have_names(manifest, classes, taken, held_out)
    named = {label: list(names) for label, names in by_label.items()}
    state.progress = replace(state.progress, classes=list(classes), label_classes=named)
    order = _order(state, options, taken)
    total = options.steps
    if total is None:
        assert isinstance(order, BatchOrder)  # data whose length nobody knows has steps
        total = order.steps(options.epochs or 0)
    told = {name: getattr(options, name) for name in _TOLD}
    told |= {"schedule": schedule, "seed": state.progress.seed, "non_finite": state.non_finite}
    check_told_alike(state.communicator, told, taken, held_out)
    several = state.communicator.size > 1
    rates = Rates(schedule, options.learning_rate, total)
    state.keep(options.checkpoint_keep, best=options.checkpoint_best)
    return Loop(
        state=state,
        manifest=manifest,
        examples=taken,
        order=ShareOfOrder(order, state.communicator) if several else order,
        total=total,
        rates=rates,
        followed=schedule.metric,
        held_out=held_out,
        metrics=metrics,
        monitor=monitor,
        keeps_best=options.checkpoint_best,
        log_every=options.log_every,
        checkpoint_every=options.checkpoint_every,
        callbacks=() if state.communicator.rank else callbacks,
        workers=options.workers,
    )


def _monitor(options: Options) -> Monitor:
    """What is watched.

    Raises:
        UserError: an option is of one that was not given.
    """
    if options.monitor is not None and not (options.early_stopping or options.checkpoint_best):
        raise UserError(
            f"{option('monitor')} goes with {option('early_stopping')} or {option('checkpoint_best')} only."
        )
    if options.min_delta is not None and options.early_stopping is None:
        raise UserError(f"{option('min_delta')} goes with {option('early_stopping')} only.")
    return Monitor(options.monitor or LOSS, options.early_stopping, options.min_delta or 0.0)


def _metrics(
    manifest: Manifest, options: Options, schedule: Schedule, monitor: Monitor, validates: bool
) -> list[list[Metric]]:
    """The metrics of validations, of each loss: those that were asked for, and those that something follows.

    Raises:
        UserError: one does not fit, or there is no validation.
    """
    named = several_texts("metrics", options.metrics)
    for watched in (monitor.metric, schedule.metric or LOSS):
        check_watched(manifest, watched)
    found = metrics_for(manifest, [*named, monitor.metric, schedule.metric or LOSS], tables=False)
    needing = {
        option("metric"): named,
        option("early_stopping"): options.early_stopping,
        option("checkpoint_best"): options.checkpoint_best,
        option("schedule", "plateau"): schedule.metric,
    }
    first = next((name for name, value in needing.items() if value), None)
    if first is not None and not validates:
        raise UserError(
            f"{first} is of the validation data, and there is none: give {option('validation')}."
        )
    return found


def _order(
    state: TrainingState, options: Options, examples: Taken | StreamExamples
) -> BatchOrder | StreamOrder:
    """The order of the examples, which goes on where it was if the batch size or their number changes.

    Raises:
        UserError: it changes, and nobody knows how many examples there are.
    """
    progress, shuffle, origin = state.progress, options.shuffle, state.progress.origin
    changes = bool(progress.step) and progress.batch_size not in (0, options.batch_size)
    if isinstance(examples, StreamExamples):
        if changes:
            raise UserError(
                f"Data of which nobody knows how many examples it has goes on in batches of "
                f"{progress.batch_size}, as it began: give {option('batch_size')} so."
            )
        state.progress = replace(progress, batch_size=options.batch_size)
        return StreamOrder(options.batch_size, progress.seed)
    count = len(examples)
    known = origin.examples or count
    if changes or (progress.step and known != count):
        size = progress.batch_size or options.batch_size
        origin = BatchOrder(known, size, progress.seed, origin).changed(progress.step)
    origin = replace(origin, examples=count)
    state.progress = replace(progress, batch_size=options.batch_size, origin=origin)
    return BatchOrder(count, options.batch_size, progress.seed, origin, shuffle=shuffle)
