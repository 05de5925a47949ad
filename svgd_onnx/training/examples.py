"""From what a user gives as data to examples that a model takes."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.manifest import LossTerm, Manifest, Tensor
from svgd_onnx.training import data
from svgd_onnx.training.augmentation import Augment, AugmentedExamples
from svgd_onnx.training.batches import Examples, rows_of
from svgd_onnx.training.data import Arrays
from svgd_onnx.training.prefetch import Prefetched
from svgd_onnx.training.prepared import Check, PreparedExamples, check_of, check_of_inputs
from svgd_onnx.training.sources.columns import check_labels, classes_of_labels, columns_of
from svgd_onnx.training.sources.python import SequenceSource, Stream, has_rows, is_one_number
from svgd_onnx.training.sources.source import LABELS, ArraySource, Data
from svgd_onnx.training.streams import StreamExamples
from svgd_onnx.transforms.losses import Loss, loss_named
from svgd_onnx.transforms.losses.loss import YES_OR_NO

Given = Arrays | Data | Iterable[Any] | Callable[[], Iterable[Any]]
"""What `train` and others take: arrays by name, what `load_data` gives, an object with rows, or a stream."""


class Taken(Protocol):
    """Examples that a model takes.

    Attributes:
        source: what to call them in a message.
        lazy: whether taking them takes time: they are read, or changed.
        classes: names of the classes; none where they are not known. Of several labels, those of the first.
        label_classes: those that are known, by label.
    """

    @property
    def source(self) -> str: ...
    @property
    def lazy(self) -> bool: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def label_classes(self) -> Mapping[str, tuple[str, ...]]: ...

    def __len__(self) -> int: ...

    def take(
        self, rows: np.ndarray | slice, random: np.random.Generator | None = None
    ) -> list[np.ndarray]:
        """The arrays of a step; what is random draws from the generator, or is as in evaluation."""
        ...

    def numbers(self, rows: np.ndarray) -> np.ndarray:
        """The numbers of rows in the source."""
        ...


def taken_from(
    given: Given,
    manifest: Manifest,
    source: str = "the data",
    augment: Augment | None = None,
    *,
    known: Mapping[str, Sequence[str]] = MappingProxyType({}),
    numbered: bool = True,
) -> Taken | StreamExamples:
    """Examples that a model takes, of whatever is given.

    Args:
        given: by the user.
        manifest: of the artifacts.
        source: what to call arrays in a message; other data have a name.
        augment: see `Trainer.train`.
        known: the names of classes by label, where the data is not told others.
        numbered: whether classes have their numbers already, so that names which only the data has say them
            where each class has one.

    Raises:
        UserError: they do not fit the model, or nothing says which number a class has.
    """
    if isinstance(given, Data):
        given = _told(given, manifest, known)
    arrays = _as_arrays(given)
    if augment is not None:
        if arrays is None:
            raise UserError(f"{option('augment')} is of arrays: use the data's transform instead.")
        return AugmentedExamples(arrays, manifest, augment)
    if arrays is not None or isinstance(given, str | os.PathLike):
        checked = data.check(given if arrays is None else arrays, manifest, source)  # type: ignore[arg-type]
        if not isinstance(given, Data):
            return checked
        return replace(checked, classes=given.classes, label_classes=given.label_classes)
    labels = [label.name for label in manifest.labels]
    taken = _batch_by_batch(given, manifest.arrays, labels, functools.partial(check_of, manifest))
    if isinstance(given, Data) and isinstance(taken, PreparedExamples):
        for place, term in enumerate(manifest.terms):
            if term.label is not None:
                told = _told_to(given, place, term)
                _check_texts(taken, term.label, loss_named(term.loss), told)
        if numbered:
            _check_numbers_of_classes(given, taken, manifest)
    return taken


def _told(given: Data, manifest: Manifest, known: Mapping[str, Sequence[str]]) -> Data:
    """The data with the names that are known of labels of which it was told none."""
    first = {manifest.labels[0].name} if manifest.labels and given.classes else set()
    labels = {label.name for label in manifest.labels} - first
    names = {name: tuple(each) for name, each in known.items() if each and name in labels}
    return replace(given, label_classes={**names, **given.label_classes}) if names else given


def _check_texts(
    taken: PreparedExamples, label: Tensor, loss: Loss, told: Sequence[str] = ()
) -> None:
    """Refuses texts where a loss compares numbers, and others than two where it asks yes or no.

    Args:
        taken: the examples.
        label: which.
        loss: that compares it.
        told: the names that the data was told of its classes.

    Raises:
        UserError: says which they are.
    """
    if not taken.has_texts(label.name):
        return
    names = taken.label_classes.get(label.name, ())
    if np.dtype(label.dtype).kind == "f" and loss.says != YES_OR_NO:
        if told:
            raise UserError(
                f"{option('classes')} names {listed(told, 3)}, and the loss {loss.name} compares "
                f"'{label.name}' with numbers: leave it out."
            )
        raise UserError(
            f"{taken.source} has texts where the loss {loss.name} compares '{label.name}' with numbers"
            f"{_of_which(names)}: give numbers."
        )
    if loss.says == YES_OR_NO and len(names) != 2:
        raise UserError(
            f"{taken.source} has {listed(map(repr, names), 3)} where the loss {loss.name} asks yes or no: name "
            f"both in the order of their numbers with {option('classes')}."
        )


def _of_which(names: Sequence[str]) -> str:
    """One that is no number, for the middle of a sentence; nothing where all are."""
    for name in names:
        try:
            float(name)
        except ValueError:
            return f", as '{name}'"
    return ""


def _told_to(given: Data, place: int, term: LossTerm) -> Sequence[str]:
    """The names of a label's classes that the data was told; of the first label also those without one."""
    label = "" if term.label is None else term.label.name
    return given.label_classes.get(label) or (() if place else given.classes)


def _check_numbers_of_classes(
    given: Data, taken: Taken | StreamExamples, manifest: Manifest
) -> None:
    """Refuses names of fewer classes than there are that the data alone has: it may lack some in between.

    Raises:
        UserError: says how many of each.
    """
    for place, term in enumerate(manifest.terms):
        if term.label is None or term.settings.class_axis is None:
            continue
        outputs = term.logits_shape[term.settings.class_axis]
        told = _told_to(given, place, term)
        names = taken.label_classes.get(term.label.name, ())
        if names and not told and isinstance(outputs, int) and len(names) < outputs:
            raise UserError(
                f"The classes that {taken.source} names are {len(names)} ({listed(names, 3)}), and the model's "
                f"prediction '{term.prediction}' has {outputs}: nothing says which number each has, so name "
                f"all of them in the order of their numbers with {option('classes')}."
            )


def first_examples(
    given: Given, tensors: Sequence[Tensor], losses: Mapping[str, Loss], count: int | None
) -> list[np.ndarray]:
    """The first of some data, as a model takes them; one, where it takes one.

    Args:
        given: arrays, or what `load_data` gives.
        tensors: the model's inputs, and labels last.
        losses: that compare labels, by these.
        count: how many; None for all.

    Raises:
        UserError: they do not fit the model.
    """
    arrays = _as_arrays(given)
    if arrays is not None or not isinstance(given, Data):
        whole = data.check_arrays(given if arrays is None else arrays, tensors, "the data")  # type: ignore[arg-type]
        return whole.take(slice(1 if whole.one_by_one else count))
    check = check_of_inputs(tensors, given.source.title)
    one = all(tensor.batch_axis is None for tensor in tensors)
    taken = PreparedExamples(given, tensors, list(losses), check)
    for tensor in tensors:
        if tensor.name in losses:
            _check_texts(taken, tensor, losses[tensor.name])
    return taken.take(slice(1 if one else count))


def without_label(given: Given, inputs: Sequence[Tensor]) -> Taken | StreamExamples:
    """Examples for a model's inputs alone: labels, and whatever else is there, do not matter.

    Raises:
        UserError: they do not fit the inputs.
    """
    arrays = _as_arrays(given)
    if isinstance(given, str | os.PathLike):
        return data.check_arrays(given, inputs, "the data")  # type: ignore[arg-type]
    if arrays is not None:
        names = [tensor.name for tensor in inputs]
        if arrays.keys() >= set(names):  # else the message says what there is instead
            arrays = {name: arrays[name] for name in names}
        return data.check_arrays(arrays, inputs, "the data")
    return _batch_by_batch(given, inputs, [], functools.partial(check_of_inputs, inputs))


def _batch_by_batch(
    given: Given,
    tensors: Sequence[Tensor],
    labels: Sequence[str],
    check: Callable[[str], Check],
) -> PreparedExamples | StreamExamples:
    """Examples of what is no arrays by name, which become what a model takes when they are taken.

    Args:
        given: by the user.
        tensors: the model's inputs, and the labels where they are wanted.
        labels: their names.
        check: makes what looks at each batch, of what to call the data in a message.

    Raises:
        UserError: they do not fit the model.
    """
    if not isinstance(given, Data) and has_rows(given):
        given = Data(SequenceSource(given))
    if isinstance(given, Data):
        return PreparedExamples(given, tensors, labels, check(given.source.title))
    if callable(given) or (hasattr(given, "__iter__") and not is_one_number(given)):
        return StreamExamples(Stream(given), tensors, check("the data"))
    raise UserError(f"Data of {type(given).__name__} is none: give arrays by name.")


def known_classes(given: Data) -> tuple[str, ...]:
    """The names of classes that some data has, whatever labels a model wants; none where it names none."""
    own = LABELS if given.source.own_names and LABELS in given.source.columns else ""
    return given.classes or (given.source.apart().classes_of(own) if own else ())


def label_classes(given: Data, manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """The names of the classes that labels of some data are, by label, where they are known.

    Raises:
        UserError: an input, or a label, has no column.
    """
    labels = [label.name for label in manifest.labels]
    if _as_arrays(given) is None:
        given = replace(given, source=given.source.apart())
        return classes_of_labels(given, columns_of(given, manifest.arrays, labels), labels)
    check_labels(given, labels)
    first = {labels[0]: given.classes} if labels and given.classes else {}
    return {**first, **given.label_classes}


def labels_of(examples: Taken, manifest: Manifest) -> np.ndarray | None:
    """One integer for each example, where the labels are so and can be had at once; of the first of several."""
    label = manifest.terms[0].label
    if label is None:
        return None
    if isinstance(examples, PreparedExamples):
        return examples.labels(label.name)
    place = manifest.arrays.index(label)
    if isinstance(examples, Examples) and examples.axes[place] == 0:
        return rows_of(examples.arrays[place], 0, slice(None))
    return None


def one_pass(
    examples: Taken | StreamExamples, batch_size: int, workers: int
) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    """All examples in order, in batches, with their rows; the last batch may be smaller."""
    if isinstance(examples, StreamExamples):
        yield from examples.one_pass(batch_size)
        return
    count = len(examples)
    tasks = (slice(start, min(start + batch_size, count)) for start in range(0, count, batch_size))
    with Prefetched(examples.take, tasks, workers if examples.lazy else 0) as batches:
        for rows, arrays in batches:
            yield np.arange(rows.start, rows.stop), arrays


def _as_arrays(given: Given) -> Arrays | None:
    """Arrays by name, if that is all that is given; other data become such batch by batch."""
    if isinstance(given, Mapping):
        return given
    if not isinstance(given, Data) or given.transform is not None:
        return None
    source = given.source
    if not isinstance(source, ArraySource) or source.own_names:
        return None
    if not given.columns:
        return source.arrays
    single = all(len(names) == 1 and names[0] in source.arrays for names in given.columns.values())
    if not single:
        return None
    renamed = {name: source.arrays[of[0]] for name, of in given.columns.items()}
    used = {of[0] for of in given.columns.values()}
    return {**{name: each for name, each in source.arrays.items() if name not in used}, **renamed}
