"""What examples come from: columns by name, of which rows are taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from svgd_onnx.training.images.grammar import Transform
from svgd_onnx.training.mapped import MappedFiles, release, taken

Values = np.ndarray | list[np.ndarray]
"""Of some rows of a column: an array, examples along its first axis; or pictures, which may differ in size,
uint8 (height, width, channels)."""

LABELS = "labels"
"""What the labels are called by sources that name their columns themselves."""


class Source(Protocol):
    """Examples, wherever they are.

    Attributes:
        title: what to call them in a message.
        columns: their names.
        own_names: whether those are no names of the user's, so that they say nothing of a model's.
        reads_columns: whether a column can be read without the others, and soon.
        texts: the columns of texts, which count as numbers of classes.
    """

    title: str
    columns: Sequence[str]
    own_names: bool
    reads_columns: bool
    texts: frozenset[str]

    def __len__(self) -> int:
        """How many there are."""
        ...

    def take(self, columns: Sequence[str], rows: np.ndarray) -> dict[str, Values]:
        """Some rows of some columns.

        Raises:
            UserError: something in them cannot be read.
        """
        ...

    def classes_of(self, column: str, given: Sequence[str] | None = None) -> tuple[str, ...]:
        """The names of classes, whose numbers a column has; none where they are not known.

        Args:
            column: which.
            given: of texts the names that count, in their order; none for those that occur, sorted. What is
                said first holds. None for those that the source was opened with.
        """
        ...

    def name_of(self, row: int) -> str | None:
        """What a row is called, as the file of a picture; None where it has no name."""
        ...

    def apart(self) -> Source:
        """The same examples, whose classes are told without those of this one."""
        ...


class ArraySource:
    """Arrays, in memory or in mapped files, examples along their first axis.

    Args:
        arrays: by name.
        title: see `Source`.
        own_names: see `Source`.
        classes: of the labels.
    """

    reads_columns = True
    texts: frozenset[str] = frozenset()

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        title: str,
        *,
        own_names: bool = False,
        classes: Sequence[str] = (),
    ) -> None:
        self.arrays = dict(arrays)
        self.title, self.own_names = title, own_names
        self.columns: Sequence[str] = tuple(self.arrays)
        self._files = MappedFiles(self.arrays.values())
        self._classes = tuple(classes)

    def __len__(self) -> int:
        return min((len(array) for array in self.arrays.values() if array.ndim), default=0)

    def take(self, columns: Sequence[str], rows: np.ndarray) -> dict[str, Values]:
        self._files.check()
        found: dict[str, Values] = {name: taken(self.arrays[name], rows) for name in columns}
        for name in columns:
            release(self.arrays[name])
        return found

    def classes_of(self, column: str, given: Sequence[str] | None = None) -> tuple[str, ...]:
        return self._classes if column == LABELS else ()

    def name_of(self, row: int) -> str | None:
        return None

    def apart(self) -> ArraySource:
        return self


@dataclass(frozen=True)
class Data:
    """Examples, and how they become what a model takes; `load_data` makes it.

    Attributes:
        source: where they are.
        columns: for an input of a model (or the labels) the names or globs of the columns that it is made of,
            next to each other; inputs that are not in it have a column of their name.
        transform: what happens to images; None leaves them as they are.
        classes: names of the classes, in the order of their numbers; none where they are not known. Of several
            labels, those of the first.
        label_classes: the same by label.
    """

    source: Source
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    transform: Transform | None = None
    classes: tuple[str, ...] = ()
    label_classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.source)
