"""Where a value has its examples, and what rules of operators ask about it.

A rule says of one operator: given where its inputs have their examples, where its outputs have theirs. By
induction over the graph, row n of each value then depends on example n alone. A rule that cannot say so
refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import onnx_ir as ir

from svgd_onnx.transforms.rule import RefusedError, constant_value, input_of, known_rank

Edit = Callable[[ir.Graph], None]


@dataclass(frozen=True)
class Count:
    """A number of examples, times something."""

    times: int = 1


Entry = int | Count | None


@dataclass(frozen=True)
class Rows:
    """The axis that examples lie along.

    Attributes:
        axis: which.
        each: how many entries of it one example has that follow each other.
        before: how often all examples come one after another in it.
    """

    axis: int
    each: int = 1
    before: int = 1

    @property
    def alone(self) -> bool:
        """Whether the axis is that of examples, and of nothing else."""
        return self.each == self.before == 1

    def at(self, axis: int) -> Rows:
        """The same along another axis."""
        return replace(self, axis=axis)


@dataclass(frozen=True)
class Sizes:
    """A vector or a number of sizes.

    Attributes:
        entries: integers, counts of examples, None for what is not known and not of the batch.
    """

    entries: tuple[Entry, ...]

    @property
    def counts(self) -> bool:
        """Whether one depends on how many examples there are."""
        return any(isinstance(each, Count) for each in self.entries)


Where = Rows | Sizes | None


@dataclass
class Tracing:
    """What is known on the way through a graph.

    Attributes:
        batch: the fixed size of the batch.
        where: of each value that depends on the batch.
        edits: what is changed if all goes well.
        chosen: of the places where a Reshape may leave examples, which is taken; see `choose`.
        choices: how many there are.
    """

    batch: int
    where: dict[ir.Value, Where] = field(default_factory=dict)
    edits: list[Edit] = field(default_factory=list)
    chosen: dict[ir.Node, int] = field(default_factory=dict)
    choices: dict[ir.Node, int] = field(default_factory=dict)

    def choose(self, node: ir.Node, found: Sequence[Rows]) -> Rows:
        """One of several places, each of which is right: where there is one example, an axis of 1 may be any.

        Which of them others can go on from is seen when they come to it: the next is taken then.
        """
        self.choices[node] = len(found)
        return found[self.chosen.setdefault(node, 0)]

    def of(self, value: ir.Value | None) -> Where:
        return None if value is None else self.where.get(value)

    def rows(self, value: ir.Value | None) -> Rows | None:
        """Where a value has its examples; None if it does not depend on them."""
        where = self.of(value)
        if isinstance(where, Sizes) and where.counts:
            raise RefusedError("it computes with the size of the batch")
        return None if isinstance(where, Sizes) else where

    def numbers(self, node: ir.Node, place: int, attribute: str = "") -> list[int] | None:
        """Integers that are an input or, in older opsets, an attribute; None if not given.

        Raises:
            RefusedError: they are not known.
        """
        value = input_of(node, place)
        if value is None:
            found = node.attributes.get(attribute)
            return None if found is None else list(found.as_ints())
        where, array = self.of(value), constant_value(value)
        known = where.entries if isinstance(where, Sizes) else ()
        if array is not None:
            known = tuple(int(each) for each in array.reshape(-1))
        numbers = [each for each in known if isinstance(each, int)]
        if not numbers or len(numbers) < len(known):
            raise RefusedError("its axes or sizes are computed")
        return numbers

    def first(self, node: ir.Node) -> Rows:
        """Of the first input, where no other depends on the batch."""
        rows = self.rows(node.inputs[0])
        if rows is None or any(self.rows(value) is not None for value in node.inputs[1:]):
            raise RefusedError("its parameters depend on the batch")
        return rows


Rule = Callable[[ir.Node, Tracing], "Where | Sequence[Where]"]


def size(value: ir.Value, axis: int) -> int | None:
    """The size of an axis, None if it is open."""
    known_rank(value)
    dim = None if value.shape is None else value.shape[axis]
    return dim if isinstance(dim, int) else None


def product(value: ir.Value, start: int, end: int) -> int:
    """The product of the sizes of some axes.

    Raises:
        RefusedError: one is open.
    """
    result = 1
    for axis in range(start, end):
        each = size(value, axis)
        if each is None:
            raise RefusedError("sizes around the batch axis are open")
        result *= each
    return result


def from_front(axes: Sequence[int], rank: int) -> list[int]:
    """Axes counted from the front."""
    return [axis % rank for axis in axes]
