"""The batches of a training, in its order: what they are taken from, and how long steps wait for them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType

import numpy as np

from svgd_onnx.argument_types import whole_number
from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.manifest import Manifest
from svgd_onnx.targets.training_progress import TrainingProgress
from svgd_onnx.training.augmentation import Augment
from svgd_onnx.training.batches import BatchOrder
from svgd_onnx.training.examples import Given, Taken, labels_of, taken_from
from svgd_onnx.training.prefetch import Prefetched
from svgd_onnx.training.ranks import ShareOfOrder
from svgd_onnx.training.split import split
from svgd_onnx.training.start import check_enough
from svgd_onnx.training.streams import StreamExamples, StreamOrder

_MOST_WORKERS = 64

Order = BatchOrder | StreamOrder | ShareOfOrder
_Task = tuple[int, np.ndarray]


class Feed:
    """The batches of some steps, prepared while steps run; within a `with` block.

    Args:
        examples: which they are of.
        order: in which they are taken.
        steps: whose batches; counted from 0.
        workers: threads that prepare them, where that takes time. Those of a stream are one at most.
    """

    def __init__(
        self, examples: Taken | StreamExamples, order: Order, steps: range, workers: int
    ) -> None:
        self._examples, self._order = examples, order
        if isinstance(examples, StreamExamples):
            workers = min(workers, 1)
        tasks = ((step, order.rows(step)) for step in steps)
        workers = workers if examples.lazy else 0
        self._batches = Prefetched[_Task, list[np.ndarray]](self._take, tasks, workers)
        self._since = self._stepping = 0.0

    def __enter__(self) -> Feed:
        self._batches.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._batches.__exit__(kind, error, trace)

    def next(self) -> tuple[np.ndarray, list[np.ndarray]]:
        """The numbers of a step's examples in their source, and its arrays.

        Raises:
            UserError: one cannot be read, or does not fit the model.
        """
        (_, rows), arrays = next(self._batches)
        self._since = time.perf_counter()
        return self._examples.numbers(rows), arrays

    def stepped(self) -> float:
        """To be called after a step: the share of the time of all steps that they waited; from 0 to 1."""
        self._stepping += time.perf_counter() - self._since
        waited = self._batches.waited
        return waited / max(waited + self._stepping, 1e-9)

    def _take(self, task: _Task) -> list[np.ndarray]:
        step, rows = task
        # not where nothing is drawn: to make one takes as long as some steps
        random = self._order.generator(step) if self._examples.lazy else None
        return self._examples.take(rows, random)


def take_data(
    given: Given,
    validation: Given | float | None,
    manifest: Manifest,
    augment: Augment | None,
    *,
    batch_size: int,
    seed: int,
    epochs: int | None,
    known: Mapping[str, Sequence[str]],
    numbered: bool,
) -> tuple[Taken | StreamExamples, Taken | StreamExamples | None]:
    """Examples to train on and to validate on.

    Args:
        given: examples for training.
        validation: others, or a share of those, or none.
        manifest: of the artifacts.
        augment: see `Trainer.train`.
        batch_size: examples a step.
        seed: of the share.
        epochs: how many there are to be; None if steps are counted.
        known: the names of classes by label, as far as they are known.
        numbered: see `taken_from`.

    Raises:
        UserError: something does not fit.
    """
    taken = taken_from(
        given, manifest, "the training data", augment, known=known, numbered=numbered
    )
    if manifest.labels and taken.classes:
        known = {**known, manifest.labels[0].name: taken.classes}
    known = {**known, **taken.label_classes}
    if isinstance(taken, StreamExamples):
        if epochs is not None or isinstance(validation, float | int):
            name = "epochs" if epochs is not None else "validation"
            raise UserError(
                f"Nobody knows how many examples the data has, so {option(name)} says nothing: give "
                f"{option('steps')}, and data to validate on."
            )
        return taken, _held_out(validation, manifest, known)
    if isinstance(validation, float | int):
        if augment is not None:
            raise UserError(
                f"{option('validation')} is a share of examples that {option('augment')} changes: give data."
            )
        taken, aside = split(taken, labels_of(taken, manifest), validation, seed)
        check_enough(batch_size, len(taken))
        return taken, aside
    check_enough(batch_size, len(taken))
    return taken, _held_out(validation, manifest, known)


def _held_out(
    validation: Given | None, manifest: Manifest, known: Mapping[str, Sequence[str]]
) -> Taken | StreamExamples | None:
    if validation is None:
        return None
    return taken_from(validation, manifest, "the validation data", known=known)


def names_by_label(manifest: Manifest, progress: TrainingProgress) -> dict[str, Sequence[str]]:
    """The names of classes that were trained on, by label; none where they are not known."""
    first = {manifest.labels[0].name: progress.classes} if manifest.labels else {}
    return {label: names for label, names in {**first, **progress.label_classes}.items() if names}


def same_classes(
    trained: tuple[str, ...], *examples: Taken | StreamExamples | None
) -> tuple[str, ...]:
    """The classes of all examples, which are those that were trained, where they are known.

    Raises:
        UserError: they are others, or in another order.
    """
    for each in examples:
        if each is not None:
            trained = _same(trained, each.classes, each.source)
    return trained


def same_label_classes(
    trained: Mapping[str, Sequence[str]], *examples: Taken | StreamExamples | None
) -> dict[str, tuple[str, ...]]:
    """As `same_classes`, of each of several labels.

    Raises:
        UserError: as there.
    """
    known = {label: tuple(names) for label, names in trained.items()}
    for each in examples:
        if each is None:
            continue
        for label, names in each.label_classes.items():
            known[label] = _same(known.get(label, ()), names, f"'{label}' in {each.source}", label)
    return known


def _same(
    before: tuple[str, ...], classes: tuple[str, ...], source: str, label: str | None = None
) -> tuple[str, ...]:
    if before and classes and classes != before:
        how = "" if label is None else f" (as {label}=A,B,…)"
        raise UserError(
            f"The classes of {source} are {listed(classes)}, and those of before are {listed(before)}"
            f": give these with {option('classes')}{how}, in this order."
        )
    return before or classes


def check_class_names(
    manifest: Manifest, classes: Sequence[str], label_classes: Mapping[str, Sequence[str]]
) -> None:
    """Refuses more names of classes than the prediction that labels are compared with has classes.

    Args:
        manifest: of the artifacts.
        classes: of the first label.
        label_classes: of each of several labels.

    Raises:
        UserError: says how many of each.
    """
    for place, term in enumerate(manifest.terms):
        label, axis = term.label, term.settings.class_axis
        outputs = None if axis is None else term.logits_shape[axis]
        names = () if label is None else label_classes.get(label.name, () if place else classes)
        if isinstance(outputs, int) and len(names) > outputs:
            raise UserError(
                f"There are {len(names)} names of classes ({listed(names, 3)}), and the model's prediction "
                f"'{term.prediction}' has {outputs}: leave some out, or convert the model with "
                f"{option('num_classes')} {len(names)}."
            )


def check_labels_have_names(
    manifest: Manifest, classes: Sequence[str], *examples: Taken | StreamExamples | None
) -> None:
    """Refuses a number among the labels, of the first of several, that is none of a class which has a name.

    Args:
        manifest: of the artifacts.
        classes: their names; none if they have none.
        examples: of which those are looked at whose labels can be had at once.

    Raises:
        UserError: says which number.
    """
    ignored = manifest.terms[0].settings.ignore_index
    for each in examples:
        if not classes or each is None or isinstance(each, StreamExamples):
            continue
        labels = labels_of(each, manifest)
        if labels is None:
            continue
        unnamed = labels[(labels >= len(classes)) & (labels != ignored)]
        if unnamed.size:
            raise UserError(
                f"A label in {each.source} is {unnamed.max()}, and there are {len(classes)} names of classes "
                f"({listed(classes, 3)}), which count from 0: name all of them with {option('classes')}."
            )


def check_workers(workers: int) -> None:
    """Refuses a number of workers below 0, or beyond reason.

    Raises:
        UserError: names the range.
    """
    if not 0 <= whole_number("workers", workers) <= _MOST_WORKERS:
        raise UserError(f"{option('workers')} is {workers}, but must be from 0 to {_MOST_WORKERS}.")
