"""The examples that training and evaluation go through, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Examples:
    """Arrays that fit a model, in the order that a training step takes them.

    Attributes:
        arrays: each of shape (examples, ...); the label last, if the loss has one.
    """

    arrays: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.arrays[-1])

    def take(self, rows: np.ndarray | slice) -> list[np.ndarray]:
        """The arrays of some examples, contiguous."""
        return [np.ascontiguousarray(array[rows]) for array in self.arrays]

    def of_step(self, order: BatchOrder, step: int) -> list[np.ndarray]:
        """The arrays of a training step."""
        return self.take(order.rows(step))


def batches(examples: Examples, batch_size: int) -> Iterator[list[np.ndarray]]:
    """All examples in order; the last batch may be smaller."""
    for start in range(0, len(examples), batch_size):
        yield examples.take(slice(start, start + batch_size))


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
    """

    def __init__(self, examples: int, batch_size: int, seed: int) -> None:
        self.steps_per_epoch = examples // batch_size
        self._examples = examples
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = -1
        self._order = np.empty(0, np.int64)

    def epoch(self, step: int) -> int:
        """The epoch of a step; both count from 0."""
        return step // self.steps_per_epoch

    def ends_epoch(self, step: int) -> bool:
        """Whether a step, counted from 0, is the last of its epoch."""
        return (step + 1) % self.steps_per_epoch == 0

    def rows(self, step: int) -> np.ndarray:
        """The examples of a step, counted from 0; (batch_size,) int64."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._order = shuffled_rows(self._examples, self._seed, epoch)
            self._epoch = epoch
        return self._order[position * self._batch_size : (position + 1) * self._batch_size]

    def generator(self, step: int) -> np.random.Generator:
        """What a step's augmentation draws from, apart from what the orders are drawn from."""
        return np.random.default_rng([self._seed, step, 1])
