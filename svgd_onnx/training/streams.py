"""Examples that are taken in the order in which they come, and of which nobody knows how many there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from svgd_onnx.errors import UserError, option
from svgd_onnx.manifest import Tensor
from svgd_onnx.training.prepared import Check
from svgd_onnx.training.sources.python import Stream

Batch = dict[str, np.ndarray]


class StreamExamples:
    """The batches of a stream, as a model takes them.

    Args:
        stream: examples or batches of them.
        tensors: the model's inputs, and the label where it is wanted, in the order in which a tuple has them.
        check: looks at each batch.
    """

    lazy = True
    source = "the data"
    classes: tuple[str, ...] = ()
    label_classes: Mapping[str, tuple[str, ...]] = MappingProxyType({})

    def __init__(self, stream: Stream, tensors: Sequence[Tensor], check: Check) -> None:
        self._stream, self._tensors, self._check = stream, tensors, check
        self._position = 0
        self._batches: Iterator[Batch] = iter(())
        self._size = 0

    def take(self, rows: np.ndarray, random: np.random.Generator | None = None) -> list[np.ndarray]:
        """The batch that begins at a row, counted over all passes; what lies before it is passed over.

        Raises:
            UserError: the stream has not so many examples, or they do not fit the model.
        """
        start, size = int(rows[0]), len(rows)
        if start < self._position or size != self._size:
            self._batches, self._position, self._size = self._again_and_again(size), 0, size
        while self._position < start:
            next(self._batches)
            self._position += size
        batch = next(self._batches)
        self._position += size
        return self._check(batch, rows)

    def one_pass(self, batch_size: int) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
        """All examples once, with their numbers; the last batch may be smaller."""
        start = 0
        for batch in self._of_size(batch_size):
            rows = np.arange(start, start + self._length(batch))
            start += len(rows)
            yield rows, self._check(batch, rows)
        if not start:
            raise UserError(
                "There is no example in the data: it is empty, or has been gone through."
            )

    def numbers(self, rows: np.ndarray) -> np.ndarray:
        """The numbers of rows in the source: those of all passes go on."""
        return rows

    def _again_and_again(self, batch_size: int) -> Iterator[Batch]:
        """Whole batches of one pass after another."""
        while True:
            count = 0
            for batch in self._of_size(batch_size):
                if self._length(batch) == batch_size:
                    count += 1
                    yield batch
            if not count:
                raise UserError(
                    f"The data ended before it filled a batch of {batch_size}: give more, or what can be gone "
                    "through again, as a function that gives an iterator."
                )
            if self._stream.once:
                raise UserError(
                    f"The data ended after {count} batches of {batch_size}, and cannot be gone through again: "
                    f"give a function that gives an iterator, or fewer {option('steps')}."
                )

    def _of_size(self, batch_size: int) -> Iterator[Batch]:
        """One pass in batches; the last may be smaller."""
        held: list[Batch] = []
        count = 0
        for given in self._stream:
            batch = self._as_batch(given)
            held.append(batch)
            count += self._length(batch)
            if count < batch_size:
                continue
            whole = self._joined(held)
            for start in range(0, count - batch_size + 1, batch_size):
                yield self._part(whole, start, start + batch_size)
            held = (
                [self._part(whole, count - count % batch_size, count)] if count % batch_size else []
            )
            count %= batch_size
        if held:
            yield self._joined(held)

    def _as_batch(self, given: Mapping[str, np.ndarray]) -> Batch:
        """By the model's names, examples along the first axis."""
        batch = {}
        for place, tensor in enumerate(self._tensors):
            array = given.get(tensor.name, given.get(str(place)))
            if array is None:
                names = ", ".join(f"'{each.name}'" for each in self._tensors)
                raise UserError(
                    f"An example of the data has no '{tensor.name}': the model wants {names}, and a tuple has "
                    "them in this order."
                )
            if tensor.batch_axis not in (0, None) or (
                tensor.batch_axis is None
                and any(each.batch_axis is not None for each in self._tensors)
            ):
                raise UserError(
                    f"Input '{tensor.name}' has its examples not along the first axis: give arrays by name."
                )
            one = len(tensor.shape) - (tensor.batch_axis is not None)
            if array.ndim not in (one, one + 1):
                raise UserError(
                    f"'{tensor.name}' of an example of the data has {array.ndim} axes, but the model wants "
                    f"{one} of an example, and {one + 1} of a batch."
                )
            batch[tensor.name] = array[None] if array.ndim == one else array
        lengths = {name: len(array) for name, array in batch.items()}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{name}: {length}" for name, length in lengths.items())
            raise UserError(
                f"The arrays of a batch of the data differ in length ({said}): give as many of each."
            )
        return batch

    def _length(self, batch: Batch) -> int:
        return len(batch[self._tensors[0].name])

    def _joined(self, batches: Sequence[Batch]) -> Batch:
        if len(batches) == 1:
            return batches[0]
        try:
            return {name: np.concatenate([each[name] for each in batches]) for name in batches[0]}
        except ValueError as error:
            raise UserError("Examples of the data differ in shape: make them alike.") from error

    def _part(self, batch: Batch, start: int, stop: int) -> Batch:
        return {name: array[start:stop] for name, array in batch.items()}


class StreamOrder:
    """The order of a stream's batches, which is its own; it has no epochs that anyone could count.

    Args:
        batch_size: examples a step.
        seed: see `BatchOrder`.
    """

    def __init__(self, batch_size: int, seed: int) -> None:
        self._batch_size, self._seed = batch_size, seed

    def epoch(self, step: int) -> int:
        """0, for all steps."""
        return 0

    def ends_epoch(self, step: int) -> bool:
        """No step does."""
        return False

    def rows(self, step: int) -> np.ndarray:
        """The examples of a step, counted over all passes; (batch_size,) int64."""
        return np.arange(step * self._batch_size, (step + 1) * self._batch_size)

    def generator(self, step: int) -> np.random.Generator:
        """See `BatchOrder`."""
        return np.random.default_rng([self._seed, step, 1])
