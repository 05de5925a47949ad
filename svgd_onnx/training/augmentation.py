"""Training examples that are changed each time they are taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from svgd_onnx.errors import UserError, option
from svgd_onnx.manifest import Manifest
from svgd_onnx.training import data
from svgd_onnx.training.batches import rows_of
from svgd_onnx.training.given_array import given_array
from svgd_onnx.training.mapped import MappedFiles

# From a batch's arrays by name, and what to draw random numbers from, to what the model takes.
Augment = Callable[[dict[str, np.ndarray], np.random.Generator], Mapping[str, np.ndarray]]


class AugmentedExamples:
    """Examples of any type and shape, which become what a model takes when they are taken.

    Args:
        arrays: by name, each of shape (examples, ...); those of the name of an input as that has them:
            along its batch axis, or without examples.
        manifest: of the artifacts.
        augment: makes a batch of them into arrays for the model and the loss.

    Raises:
        UserError: there are none, or the arrays differ in length.
    """

    source = "the augmented training data"
    lazy = True
    classes: tuple[str, ...] = ()
    label_classes: Mapping[str, tuple[str, ...]] = MappingProxyType({})

    def __init__(
        self, arrays: Mapping[str, np.ndarray], manifest: Manifest, augment: Augment
    ) -> None:
        if not callable(augment):
            raise UserError(f"{option('augment')} is {augment!r}, but must be a function.")
        self._arrays = {
            name: given_array(array, f"Array '{name}' in the training data")
            for name, array in arrays.items()
        }
        self._files = MappedFiles(self._arrays.values())
        self._manifest = manifest
        self._augment = augment
        axes = {each.name: each.batch_axis for each in manifest.arrays}
        self._axes = {
            name: 0 if manifest.takes_one_example else axes.get(name, 0) for name in self._arrays
        }
        lengths = {
            array.shape[axis] if array.ndim > axis else 0
            for array, axis in zip(self._arrays.values(), self._axes.values())
            if axis is not None
        }
        if len(lengths) != 1 or not lengths.isdisjoint({0}):
            raise UserError("The arrays of the training data are empty, or differ in length.")
        (self._length,) = lengths

    def __len__(self) -> int:
        return self._length

    def take(
        self, rows: np.ndarray | slice, random: np.random.Generator | None = None
    ) -> list[np.ndarray]:
        """The arrays of some examples, augmented.

        Raises:
            UserError: what the augmentation gives does not fit the model, or a file that the arrays are mapped
                from is not as it was.
        """
        assert random is not None
        self._files.check()
        taken = {
            name: rows_of(array, self._axes[name], rows) for name, array in self._arrays.items()
        }
        changed = data.check_batch(
            self._augment(taken, random), self._manifest, "the augmented batch"
        )
        # a function may fill one buffer again and again
        return [array.copy() for array in changed]

    def numbers(self, rows: np.ndarray) -> np.ndarray:
        """The numbers of rows in the source."""
        return rows
