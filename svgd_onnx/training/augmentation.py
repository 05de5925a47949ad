"""Training examples that are changed each time they are taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from svgd_onnx.errors import UserError
from svgd_onnx.manifest import Manifest
from svgd_onnx.training import data
from svgd_onnx.training.batches import BatchOrder

# From a batch's arrays by name, and what to draw random numbers from, to what the model takes.
Augment = Callable[[dict[str, np.ndarray], np.random.Generator], Mapping[str, np.ndarray]]


class AugmentedExamples:
    """Examples of any type and shape, which become what a model takes when they are taken.

    Args:
        arrays: by name, each of shape (examples, ...).
        manifest: of the artifacts.
        augment: makes a batch of them into arrays for the model and the loss.

    Raises:
        UserError: there are none, or the arrays differ in length.
    """

    def __init__(
        self, arrays: Mapping[str, np.ndarray], manifest: Manifest, augment: Augment
    ) -> None:
        self._arrays = {name: np.asarray(array) for name, array in arrays.items()}
        self._manifest = manifest
        self._augment = augment
        lengths = {len(array) if array.ndim else 0 for array in self._arrays.values()}
        if len(lengths) != 1 or not lengths.isdisjoint({0}):
            raise UserError("The arrays of the training data are empty, or differ in length.")
        (self._length,) = lengths

    def __len__(self) -> int:
        return self._length

    def of_step(self, order: BatchOrder, step: int) -> list[np.ndarray]:
        """The arrays of a training step, augmented.

        Raises:
            UserError: what the augmentation gives does not fit the model.
        """
        rows = order.rows(step)
        taken = {name: array[rows] for name, array in self._arrays.items()}
        batch = self._augment(taken, order.generator(step))
        return list(data.check(batch, self._manifest, "the augmented batch").arrays)
