"""The examples that training and evaluation go through, and in which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from svgd_onnx.targets.training_progress import Origin
from svgd_onnx.training.mapped import MappedFiles, is_mapped, release, taken


@dataclass(frozen=True)
class Examples:
    """Arrays that fit a model, in the order that a training step takes them.

    Attributes:
        arrays: the labels last, if losses have such.
        axes: for each, the axis that examples lie along; None for what every step takes whole.
        one_by_one: whether a step takes one example, without that axis.
        types: of what a step takes; none where the arrays have them.
        source: what to call them in a message.
        classes: names of the classes; none where they are not known. Of several labels, those of the first.
        label_classes: those that are known, by label.
        files: that the arrays are mapped from, if any are.
    """

    arrays: tuple[np.ndarray, ...]
    axes: tuple[int | None, ...]
    one_by_one: bool = False
    types: tuple[np.dtype, ...] = ()
    source: str = "the data"
    classes: tuple[str, ...] = ()
    label_classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: MappedFiles = field(default_factory=MappedFiles)

    def __len__(self) -> int:
        counts = (array.shape[axis] for array, axis in self._along_axes() if axis is not None)
        return next(counts, 1)

    @property
    def lazy(self) -> bool:
        """Whether taking examples reads from a disk."""
        return any(is_mapped(array) for array in self.arrays)

    def take(
        self, rows: np.ndarray | slice, random: np.random.Generator | None = None
    ) -> list[np.ndarray]:
        """The arrays of some examples, contiguous; of one example, where a step takes no more.

        Raises:
            UserError: a file that they are mapped from is not as it was.
        """
        self.files.check()
        found = [rows_of(array, axis, rows) for array, axis in self._along_axes()]
        for array in self.arrays:
            release(array)
        if self.types:
            # batch by batch: there is no second copy of what may lie in a mapped file
            found = [array.astype(dtype, copy=False) for array, dtype in zip(found, self.types)]
        if self.one_by_one:
            found = [
                array if axis is None else array.reshape(array.shape[1:])
                for array, axis in zip(found, self.axes)
            ]
        return found

    def all(self) -> list[np.ndarray]:
        """The arrays of all examples, as one step takes them."""
        return self.take(slice(None))

    def numbers(self, rows: np.ndarray) -> np.ndarray:
        """The numbers of rows in the source."""
        return rows

    def _along_axes(self) -> Iterator[tuple[np.ndarray, int | None]]:
        return zip(self.arrays, self.axes)


def rows_of(array: np.ndarray, axis: int | None, rows: np.ndarray | slice) -> np.ndarray:
    """Some examples of an array, contiguous, and in memory; all of it where it has no axis of examples."""
    if not axis and array.ndim:
        found = taken(array, slice(None) if axis is None else rows)
    else:
        found = array if axis is None else array[(slice(None),) * axis + (rows,)]
    if is_mapped(found):  # a step that reads it later would read the file
        return np.array(found, order="C", subok=False)
    # not ascontiguousarray, which makes a vector of a single number
    return np.asarray(found, order="C")


def shuffled_rows(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the examples in an epoch, a function of seed and epoch alone; (count,) int64."""
    return np.random.default_rng([seed, epoch]).permutation(count)


class BatchOrder:
    """Each epoch goes through the examples in an order of its own.

    Examples that do not fill a last batch are left out of that epoch.

    Args:
        examples: how many there are.
        batch_size: examples a step, at most all.
        seed: of the orders, and of augmentation.
        origin: where training began with this batch size. The epoch goes on there with the examples that
            are left of it.
        shuffle: whether an epoch's order is random; else it is that of the examples.
    """

    def __init__(
        self,
        examples: int,
        batch_size: int,
        seed: int,
        origin: Origin = Origin(),  # noqa: B008: it is frozen
        *,
        shuffle: bool = True,
    ) -> None:
        self.steps_per_epoch = max(1, examples // batch_size)
        self.origin = origin
        self._left = max(0, examples - origin.position) // batch_size
        self._examples = examples
        self._batch_size = batch_size
        self._seed = seed
        self._shuffle = shuffle
        self._epoch = -1
        self._order = np.empty(0, np.int64)

    def epoch(self, step: int) -> int:
        """The epoch of a step; both count from 0."""
        return self._place(step)[0]

    def ends_epoch(self, step: int) -> bool:
        """Whether a step, counted from 0, is the last of its epoch."""
        return self.epoch(step + 1) > self.epoch(step)

    def steps(self, epochs: int) -> int:
        """How many steps there are to the end of so many epochs, counted from the first ever."""
        after = epochs - self.origin.epoch - 1
        left = self._left + after * self.steps_per_epoch if after >= 0 else 0
        return self.origin.first_step + left

    def rows(self, step: int) -> np.ndarray:
        """The examples of a step, counted from 0; (batch_size,) int64."""
        epoch, position = self._place(step)
        if epoch != self._epoch:
            self._order = (
                shuffled_rows(self._examples, self._seed, epoch)
                if self._shuffle
                else np.arange(self._examples)
            )
            self._epoch = epoch
        return self._order[position : position + self._batch_size]

    def generator(self, step: int) -> np.random.Generator:
        """What a step's augmentation draws from, apart from what the orders are drawn from."""
        return np.random.default_rng([self._seed, step, 1])

    def changed(self, step: int) -> Origin:
        """Where another batch size begins, if it does so at a step."""
        return Origin(step, *self._place(step))

    def _place(self, step: int) -> tuple[int, int]:
        """The epoch of a step, and how many examples of it were taken before."""
        origin, after = self.origin, step - self.origin.first_step
        if after < self._left:
            return origin.epoch, origin.position + after * self._batch_size
        epochs, steps = divmod(after - self._left, self.steps_per_epoch)
        return origin.epoch + 1 + epochs, steps * self._batch_size
