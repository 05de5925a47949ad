"""Examples that become what a model takes batch by batch: read, changed and looked at when they are taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from svgd_onnx.errors import UserError, option
from svgd_onnx.manifest import Manifest, Tensor
from svgd_onnx.training import data as checking
from svgd_onnx.training.images.grammar import Transform
from svgd_onnx.training.images.layout import Layout, as_input, layout_of, picture
from svgd_onnx.training.sources.columns import classes_of_labels, columns_of
from svgd_onnx.training.sources.image_folder import IMAGE
from svgd_onnx.training.sources.source import Data, Values

Rows = np.ndarray
# Checks a batch of arrays by name, of such rows, and gives what a step takes.
Check = Callable[[Mapping[str, np.ndarray], Rows], list[np.ndarray]]


def check_of(manifest: Manifest, source: str) -> Check:
    """What looks at a batch for a step of training or evaluation."""
    return lambda arrays, rows: checking.check_batch(arrays, manifest, source, rows)


def check_of_inputs(tensors: Sequence[Tensor], source: str) -> Check:
    """What looks at a batch for no more than some inputs."""
    return lambda arrays, rows: checking.check_arrays(arrays, tensors, source, rows=rows).all()


class PreparedExamples:
    """Examples of a source, as a model takes them.

    Args:
        data: the examples, and how they become that.
        tensors: the model's inputs, and the labels where they are wanted.
        labels: their names; none if the data's do not matter.
        check: looks at each batch.

    Attributes:
        source: what to call the examples in a message.
        classes: names of the classes of the first label, if the data knows them.
        label_classes: those of all labels, by label.

    Raises:
        UserError: an input has no column, or more than one may be meant; or the first example does not fit.
    """

    lazy = True

    def __init__(
        self, data: Data, tensors: Sequence[Tensor], labels: Sequence[str], check: Check
    ) -> None:
        # whoever else takes these examples may know classes by other numbers
        data = replace(data, source=data.source.apart())
        self._data, self._tensors, self._check = data, tensors, check
        self._columns = columns_of(data, tensors, labels)
        self.source = data.source.title
        self._one_by_one = all(tensor.batch_axis is None for tensor in tensors)
        if not self._one_by_one:
            _refuse_whole(tensors, self.source)
        self.label_classes = classes_of_labels(data, self._columns, labels)
        self.classes = self.label_classes.get(labels[0], ()) if labels else ()
        if not len(data):
            raise UserError(f"There is no example in {self.source}: it is empty.")
        if data.transform is not None:
            first = data.source.take(self._needed, np.array([0]))
            if not any(self._is_image(name, values) for name, values in first.items()):
                raise UserError(
                    f"{option('transform')} is of images, and {self.source} has none: these are of uint8."
                )

    def __len__(self) -> int:
        return len(self._data)

    def take(
        self, rows: np.ndarray | slice, random: np.random.Generator | None = None
    ) -> list[np.ndarray]:
        """The arrays of some examples, as a step takes them.

        Args:
            rows: which.
            random: what is random about images draws from it; None for evaluation.

        Raises:
            UserError: an example cannot be read, or does not fit the model.
        """
        numbers = np.arange(*rows.indices(len(self))) if isinstance(rows, slice) else rows
        values = self._data.source.take(self._needed, numbers)
        arrays = {
            tensor.name: self._array(tensor, values, numbers, random) for tensor in self._tensors
        }
        return self._check(arrays, numbers)

    def numbers(self, rows: np.ndarray) -> np.ndarray:
        """The numbers of rows in the source."""
        return rows

    def name_of(self, row: int) -> str | None:
        """What an example is called, as its file; None where it has no name."""
        return self._data.source.name_of(row)

    def labels(self, label: str) -> np.ndarray | None:
        """The labels of all examples; None where they cannot be read without all else."""
        columns = self._columns[label]
        if not self._data.source.reads_columns or len(columns) != 1:
            return None
        values = self._data.source.take(columns, np.arange(len(self)))[columns[0]]
        return values if isinstance(values, np.ndarray) else None

    def has_texts(self, label: str) -> bool:
        """Whether the numbers of a label are those of texts, or of folders by their names."""
        return not self._data.source.texts.isdisjoint(self._columns[label])

    @property
    def _needed(self) -> list[str]:
        return list(dict.fromkeys(name for names in self._columns.values() for name in names))

    def _is_image(self, column: str, values: Values) -> bool:
        own = self._data.source.own_names and column == IMAGE
        return isinstance(values, list) or (
            values.dtype == np.uint8
            and values.ndim >= 3
            and (own or self._data.transform is not None)
        )

    def _array(
        self,
        tensor: Tensor,
        values: Mapping[str, Values],
        rows: Rows,
        random: np.random.Generator | None,
    ) -> np.ndarray:
        columns = self._columns[tensor.name]
        if any(self._is_image(name, values[name]) for name in columns):
            if len(columns) > 1:
                raise UserError(
                    f"Input '{tensor.name}' is made of several columns, and one has images."
                )
            array = self._images(tensor, values[columns[0]], rows, random)
        else:
            array = _numbers(tensor, [np.asarray(values[name]) for name in columns], self.source)
        rank = len(tensor.shape) + self._one_by_one
        if array.ndim == 1 and rank == 2:
            array = array[:, None]
        axis = tensor.batch_axis
        return array if axis is None else np.moveaxis(array, 0, axis)

    def _images(
        self, tensor: Tensor, values: Values, rows: Rows, random: np.random.Generator | None
    ) -> np.ndarray:
        transform = self._data.transform or Transform()
        layout = layout_of(tensor)
        images = [
            self._changed(image, layout, transform, int(row), random, isinstance(values, list))
            for image, row in zip(values, rows)
        ]
        return as_input(images, tensor, layout, transform)

    def _changed(
        self,
        image: np.ndarray,
        layout: Layout,
        transform: Transform,
        row: int,
        random: np.random.Generator | None,
        decoded: bool,
    ) -> np.ndarray:
        try:
            image = picture(image, layout, decoded=decoded)
            for operation in transform.operations:
                image = operation(image, random)
            return image
        except UserError as error:
            called = self.name_of(row)
            where = f"'{called}'" if called else f"of row {row}"
            raise UserError(f"Image {where} in {self.source} does not fit: {error}.") from error


def _numbers(tensor: Tensor, columns: Sequence[np.ndarray], source: str) -> np.ndarray:
    """Columns next to each other; integers as floating-point numbers, where the model wants such."""
    array = columns[0]
    if len(columns) > 1:
        if len({column.ndim for column in columns}) > 1 or array.ndim > 2:
            raise UserError(
                f"Input '{tensor.name}' is made of columns of {source} that differ in shape."
            )
        array = np.concatenate([column.reshape(len(column), -1) for column in columns], axis=1)
    bytes_of_image = array.dtype == np.uint8 and array.ndim >= 3
    if np.dtype(tensor.dtype).kind == "f" and array.dtype.kind in "iub" and not bytes_of_image:
        return array.astype(tensor.dtype)
    return array


def _refuse_whole(tensors: Sequence[Tensor], source: str) -> None:
    whole = [tensor.name for tensor in tensors if tensor.batch_axis is None]
    if whole:
        raise UserError(
            f"Input '{whole[0]}' has no axis of examples, and {source} has examples only: give an .npz file."
        )
