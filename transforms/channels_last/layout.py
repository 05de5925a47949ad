"""The two forms of a value: with channels second, as ONNX has them, and last, as our operators have them.

A value (N, C, ...) of r axes is (N, ..., C) with channels last. That is a rearrangement and says nothing of
what the axes mean: whatever lies second comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from svgd_onnx.transforms.rule import (
    RefusedError,
    constant_value,
    integers,
    known_constant,
    known_rank,
    static_shape,
)
from svgd_onnx.transforms.virtualize.operator_t import DOMAIN
from svgd_onnx.transforms.writer import Writer

# With fewer axes the second is the last.
FEWEST_AXES = 3


def to_last(rank: int) -> list[int]:
    """The permutation of axes from channels second to channels last."""
    return [0, *range(2, rank), 1]


def to_second(rank: int) -> list[int]:
    """The permutation back."""
    return [0, rank - 1, *range(1, rank - 1)]


def moved_axis(axis: int, rank: int) -> int:
    """Where an axis is with channels last; it may be counted from the end before."""
    return to_second(rank)[axis % rank]


def axes_of(node: ir.Node, rank: int, input_index: int = 1) -> list[int]:
    """The axes that a node names, from 0 on: an attribute, or a constant input in newer opsets.

    Raises:
        RefusedError: they are not constant, or not given.
    """
    axes: Sequence[int] = integers(node, "axes", ())
    if not axes:
        given = node.inputs[input_index] if len(node.inputs) > input_index else None
        axes = known_constant(given, "its axes").reshape(-1).tolist()
    return [axis % rank for axis in axes]


@dataclass(frozen=True)
class Last:
    """What a rule has written an output as: a value with channels last."""

    value: ir.Value


@dataclass(frozen=True)
class Second:
    """The same of a value as ONNX has it, which takes the output's place."""

    value: ir.Value


@dataclass(frozen=True)
class Scaled:
    """T(dY) that is not written: dY with channels last, and T's factors for it."""

    gradient: ir.Value
    factors: ir.Value


@dataclass(frozen=True)
class Normalized:
    """What a normalization was computed from, and the batch's statistics.

    Attributes:
        added: whether something is added to it before its Relu.
    """

    x: ir.Value
    scale: ir.Value
    shift: ir.Value
    mean: ir.Value
    inverse: ir.Value
    added: bool = False


@dataclass(frozen=True)
class Unmasked:
    """Relu's gradient that is not written: what it is computed from, and what the Relu read."""

    gradient: ir.Value
    relu: Normalized


Written = Sequence["Last | Second | None"]
Rule = Callable[[ir.Node, "Layout"], Written]


def rearranged(
    write: Writer, value: ir.Value, sizes: tuple[int, ...] | None, permutation: Sequence[int]
) -> ir.Value:
    """A value whose axes, but the first, are permuted: with a Reshape where that moves nothing.

    Args:
        write: where it is written.
        value: as it is.
        sizes: those of all axes but the first, if they are fixed.
        permutation: of all axes.
    """
    if sizes is not None:
        moved = [axis for axis in permutation[1:] if sizes[axis - 1] != 1]
        if moved == sorted(moved):
            return write.node(
                "Reshape", value, write.integers(-1, *[sizes[axis - 1] for axis in permutation[1:]])
            )
    return write.node("Transpose", value, perm=list(permutation))


class Layout:
    """The forms of the values of a graph, as far as it has been rewritten.

    Attributes:
        write: where nodes are written that take the place of the one at hand.
        scaled: T(dY), by its value, where a convolution's gradient multiplies itself.
        normalized: the output of each normalization, or of the Relu that is part of it.
        unmasked: Relu's gradient, by its value, where a normalization's gradient masks itself.
        pooled: what a MaxPool read, by its places, which are of our own kind.
        finished: what a node gives, where it was written with another before.
        absorbed: nodes that are part of others already.
    """

    def __init__(self) -> None:
        self.write = Writer("", 0)
        self.scaled: dict[ir.Value, Scaled] = {}
        self.normalized: dict[ir.Value, Normalized] = {}
        self.unmasked: dict[ir.Value, Unmasked] = {}
        self.pooled: dict[ir.Value, ir.Value] = {}
        self.finished: dict[ir.Node, Written] = {}
        self.absorbed: set[ir.Node] = set()
        self._last: dict[ir.Value, ir.Value] = {}
        self._of_node: list[ir.Value] = []

    def begin(self, prefix: str, opset: int) -> None:
        """Makes a new `write`, for the next node."""
        self.write = Writer(prefix, opset)
        self._of_node = []

    def withdraw(self) -> None:
        """Forgets what was written for the node at hand."""
        self.write.withdraw()
        for value in self._of_node:
            del self._last[value]

    def forms(self) -> Iterator[tuple[ir.Value, ir.Value]]:
        """All values that are there with channels last, and how."""
        yield from self._last.items()

    def has_last(self, value: ir.Value | None) -> bool:
        """Whether a value is there with channels last."""
        return value is not None and value in self._last

    def set_last(self, value: ir.Value, form: ir.Value) -> None:
        """Notes how a value goes with channels last."""
        if value.shape is not None:
            sizes = list(value.shape)
            form.shape = ir.Shape([sizes[axis] for axis in to_last(len(sizes))])
        if value.type is not None and form.type is None:
            form.type = value.type
        self._last[value] = form
        self._of_node.append(value)

    def last(self, value: ir.Value) -> ir.Value:
        """A value with channels last: as it is there, or transposed.

        Raises:
            RefusedError: its number of axes is not known, or too small.
        """
        if value in self._last:
            return self._last[value]
        rank = known_rank(value)
        if rank < FEWEST_AXES:
            raise RefusedError(f"it has {rank} axes")
        constant = constant_value(value)
        if constant is not None:
            form = self.write.constant(np.ascontiguousarray(constant.transpose(to_last(rank))))
        else:
            form = rearranged(self.write, value, static_shape(value, 1), to_last(rank))
        self.set_last(value, form)
        return form

    def operand(self, value: ir.Value, rank: int) -> ir.Value:
        """What an operator that repeats operands takes for a value beside others of `rank` axes.

        Raises:
            RefusedError: its number of axes is not known.
        """
        if value in self._last and known_rank(value) == rank:
            return self._last[value]
        own = known_rank(value)
        if own == rank:
            return self.last(value)
        sizes = static_shape(value)
        if sizes is not None and all(size == 1 for size in sizes):
            return value
        constant = constant_value(value)
        if constant is not None:
            whole = constant.reshape([1] * (rank - own) + list(constant.shape))
            return self.write.constant(np.ascontiguousarray(whole.transpose(to_last(rank))))
        whole_value = self.write.node("Unsqueeze", value, self.write.integers(*range(rank - own)))
        return self.write.node("Transpose", whole_value, perm=to_last(rank))

    def operator(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, object],
        outputs: int = 1,
    ) -> Sequence[ir.Value]:
        """A node of an operator of ours."""
        return self.write.nodes_with(op_type, inputs, attributes, outputs, DOMAIN)
