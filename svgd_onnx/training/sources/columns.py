"""Which columns of some data an input of a model, or its label, is made of."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence

from svgd_onnx.errors import UserError, listed, option
from svgd_onnx.manifest import Tensor
from svgd_onnx.training.sources.python import is_positional
from svgd_onnx.training.sources.source import LABELS, Data, Source
from svgd_onnx.training.sources.tables import TableSource, read_as_something_else


def classes_of_labels(
    data: Data, columns: Mapping[str, Sequence[str]], labels: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """The names of the classes of each label, where they are known.

    Args:
        data: the examples.
        columns: those that each label is made of.
        labels: by name; what `data.classes` are is the first.

    Raises:
        UserError: those that are given are others than the data's, or are of no label.
    """
    check_labels(data, labels)
    found = {}
    for place, label in enumerate(labels):
        given = data.label_classes.get(label) or (() if place else data.classes)
        _refuse_shared(data, columns, label, given)
        _refuse_unnumbered(data, columns[label], label, given)
        found[label] = _classes_of(data, columns[label], tuple(given))
    return {label: names for label, names in found.items() if names}


def _refuse_shared(
    data: Data, columns: Mapping[str, Sequence[str]], label: str, names: Sequence[str]
) -> None:
    """Refuses a column that an input and a label are made of, where the label's names have other numbers.

    Raises:
        UserError: names it.
    """
    if not isinstance(data.source, TableSource):
        return
    of_inputs = {name for tensor, made in columns.items() if tensor != label for name in made}
    shared = [name for name in columns[label] if name in of_inputs]
    if not shared:
        return
    named = bool(names) and (read_as_something_else(names) or data.source.states(shared[0]))
    if named or data.source.has_dates(shared[0]):
        raise UserError(
            f"Column '{shared[0]}' of {data.source.title} is of an input and of the label '{label}' at once, "
            "whose classes have names: give the label a column of its own."
        )


def check_labels(data: Data, labels: Sequence[str]) -> None:
    """Refuses classes of what is no label, where labels matter.

    Raises:
        UserError: names it.
    """
    unknown = [name for name in data.label_classes if labels and name not in labels]
    if unknown:
        raise UserError(
            f"{option('classes')} names '{unknown[0]}', which is none of the labels: there is "
            f"{listed(_quoted(labels))}."
        )


def _classes_of(data: Data, columns: Sequence[str], given: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the classes of labels in some columns; those of several are known if they are given.

    Raises:
        UserError: those that are given are others than the data's.
    """
    source, several = data.source, len(columns) > 1
    known: tuple[str, ...] = ()
    for column in _of_texts(source, columns) if several else columns:
        known = source.classes_of(column, given)
        unknown = [name for name in known if given and name not in given]
        if unknown:
            raise UserError(
                f"{source.title} has the class '{unknown[0]}', which is none of {listed(given)}: "
                f"{option('classes')} lists them."
            )
        if known and given and known != given:
            raise UserError(
                f"The classes of {source.title} are {listed(known)}, and those that they have to be are "
                f"{listed(given)}: name these in this order with {option('classes')}."
            )
    return given or (() if several else known)


def _of_texts(source: Source, columns: Sequence[str]) -> list[str]:
    """The columns of texts, or of dates, which are as good as texts."""
    dates = source.has_dates if isinstance(source, TableSource) else lambda _: False
    return [name for name in columns if name in source.texts or dates(name)]


def _refuse_unnumbered(
    data: Data, columns: Sequence[str], label: str, given: Sequence[str]
) -> None:
    """Refuses texts in one of several columns of a label, each of which would number its own.

    Raises:
        UserError: names it.
    """
    texts = _of_texts(data.source, columns) if len(columns) > 1 else []
    if texts and len(texts) < len(columns) and given and read_as_something_else(given):
        raise UserError(
            f"Column '{texts[0]}' of {data.source.title} has texts, and another that '{label}' is made of has "
            "numbers, which may be those of classes, or their names: write the same in all of them."
        )
    if texts and not given:
        raise UserError(
            f"Column '{texts[0]}' of {data.source.title} has texts, and is one of several that '{label}' is "
            "made of: nothing says which number each text has, so name them in the order of their numbers with "
            f"{option('classes')}."
        )


def columns_of(
    data: Data, tensors: Sequence[Tensor], labels: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """The columns that each input, and each label, is made of, by its name.

    Raises:
        UserError: some has none; or columns are given for what is no input.
    """
    source, names = data.source, [tensor.name for tensor in tensors]
    unknown = [name for name in data.columns if name not in names]
    if unknown and labels:
        raise UserError(
            f"{option('columns')} names '{unknown[0]}', which is no input of the model: it wants "
            f"{listed(_quoted(names))}."
        )
    found: dict[str, tuple[str, ...]] = {}
    for place, name in enumerate(names):
        if name in data.columns:
            found[name] = _matching(source, name, data.columns[name])
        elif name in source.columns:
            found[name] = (name,)
        elif str(place) in source.columns and source.own_names:
            found[name] = (str(place),)
    missing = [name for name in names if name not in found]
    found |= _by_role(source, missing, labels[0] if labels else None, found)
    missing = [name for name in names if name not in found]
    if missing:
        raise UserError(
            f"There is no column '{missing[0]}' in {source.title}: the model wants "
            f"{listed(_quoted(names))}, and there is {listed(_quoted(source.columns)) or 'nothing'}"
            f"; {option('columns')} says which it is."
        )
    texts = [
        name
        for each, names in found.items()
        if each not in labels
        for name in names
        if name in source.texts
    ]
    if texts:
        raise UserError(
            f"Column '{texts[0]}' of {source.title} has texts, which are for labels: give an input numbers."
        )
    return found


def _by_role(
    source: Source, missing: Sequence[str], label: str | None, found: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    """Of columns that a source names itself: its labels are the label, and what is left the input."""
    if not source.own_names or any(map(is_positional, source.columns)):
        return {}
    roles: dict[str, tuple[str, ...]] = {}
    if label is not None and label in missing and LABELS in source.columns:
        roles[label] = (LABELS,)
    taken = {name for names in found.values() for name in names}
    inputs = [name for name in missing if name != label]
    left = [name for name in source.columns if name != LABELS and name not in taken]
    if len(inputs) == len(left) == 1:
        roles[inputs[0]] = (left[0],)
    return roles


def _matching(source: Source, name: str, globs: Sequence[str]) -> tuple[str, ...]:
    matched: dict[str, None] = {}
    for glob in globs:
        fits = [each for each in source.columns if each == glob] or [
            each for each in source.columns if fnmatch.fnmatchcase(each, glob)
        ]
        if not fits:
            raise UserError(
                f"{option('columns')} makes '{name}' of '{glob}', which is no column of {source.title}: "
                f"there is {listed(_quoted(source.columns))}."
            )
        if glob in matched and globs.count(glob) > 1:
            raise UserError(
                f"{option('columns')} makes '{name}' of '{glob}' twice: leave one of them out."
            )
        matched |= dict.fromkeys(fits)
    return tuple(matched)


def _quoted(names: Sequence[str]) -> list[str]:
    return [f"'{name}'" for name in names]
