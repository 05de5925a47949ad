"""A part of the training data is set aside for validation: at random, by the seed, as many of each class."""

from __future__ import annotations

import numpy as np

from svgd_onnx.errors import UserError, option
from svgd_onnx.training.examples import Taken


class Part:
    """Some of the examples.

    Args:
        examples: all of them.
        rows: which, int64.
    """

    def __init__(self, examples: Taken, rows: np.ndarray) -> None:
        self._examples, self._rows = examples, rows
        self.source, self.lazy, self.classes = examples.source, examples.lazy, examples.classes
        self.label_classes = examples.label_classes

    def __len__(self) -> int:
        return len(self._rows)

    def take(
        self, rows: np.ndarray | slice, random: np.random.Generator | None = None
    ) -> list[np.ndarray]:
        """As the whole examples do."""
        return self._examples.take(self._rows[rows], random)

    def numbers(self, rows: np.ndarray) -> np.ndarray:
        """The numbers of rows in the source."""
        return self._examples.numbers(self._rows[rows])


def split(
    examples: Taken, labels: np.ndarray | None, fraction: float, seed: int
) -> tuple[Part, Part]:
    """Sets a part aside. The same seed sets the same examples aside.

    Args:
        examples: all of them.
        labels: integers, one for each example, of each of which the fraction is set aside; None, or others,
            where it is of all together.
        fraction: of what is set aside, above 0 and below 1.
        seed: of the choice.

    Returns:
        What is left, and what is set aside, each in the order of the data.

    Raises:
        UserError: one of the parts would be empty.
    """
    count = len(examples)
    if not 0 < fraction < 1:
        raise UserError(
            f"{option('validation')} is {fraction}, but a share is above 0 and below 1: give that, or data."
        )
    random = np.random.default_rng([seed, 2**32 - 1, 2])  # apart from the orders and augmentation
    shuffled = random.permutation(count)
    if labels is not None and labels.ndim == 1 and labels.dtype.kind in "iu":
        # each class's examples spread evenly over a line, of which a part is cut off
        by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
        _, sizes = np.unique(labels, return_counts=True)
        places = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes])
        shuffled = by_class[np.argsort(places, kind="stable")]
    aside = round(count * fraction)
    if not 0 < aside < count:
        raise UserError(
            f"{option('validation')} is {fraction} of {count} examples, which leaves none for one of the two."
        )
    return Part(examples, np.sort(shuffled[aside:])), Part(examples, np.sort(shuffled[:aside]))
