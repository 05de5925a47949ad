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


def batches(examples: Examples, batch_size: int) -> Iterator[list[np.ndarray]]:
    """All examples in order; the last batch may be smaller."""
    for start in range(0, len(examples), batch_size):
        yield examples.take(slice(start, start + batch_size))


def shuffled_rows(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the examples in an epoch, a function of seed and epoch alone; (count,) int64."""
    return np.random.default_rng([seed, epoch]).permutation(count)


class ShuffledBatches:
    """Which examples each step of a training takes.

    Each epoch goes through the examples in `shuffled_rows`; those that do not fill a last batch are left
    out of it.

    Args:
        count: how many examples there are.
        batch_size: examples a step, at most `count`.
        seed: of the order.
    """

    def __init__(self, count: int, batch_size: int, seed: int) -> None:
        self.steps_per_epoch = count // batch_size
        self._count = count
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = -1
        self._order = np.empty(0, np.int64)

    def rows(self, step: int) -> np.ndarray:
        """The examples of a step, which counts from 0; (batch_size,) int64."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._order = shuffled_rows(self._count, self._seed, epoch)
            self._epoch = epoch
        return self._order[position * self._batch_size : (position + 1) * self._batch_size]
