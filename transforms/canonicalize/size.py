"""Sizes of axes, fixed or open, and products of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import onnx_ir as ir


@dataclass(frozen=True)
class Size:
    """A number times open sizes, by their names."""

    times: int
    names: tuple[str, ...] = ()

    def __mul__(self, other: Size) -> Size:
        return Size(self.times * other.times, tuple(sorted(self.names + other.names)))

    def divided(self, other: Size) -> Size | None:
        """The quotient, if it is a whole number whatever the open sizes are."""
        names = list(self.names)
        for name in other.names:
            if name not in names:
                return None
            names.remove(name)
        if not other.times or self.times % other.times:
            return None
        return Size(self.times // other.times, tuple(names))


Entries = Sequence["Size | None"]


def dims_of(value: ir.Value | None) -> list[Size | None] | None:
    """The sizes of a value's axes."""
    if value is None or value.shape is None:
        return None
    return [
        Size(dim) if isinstance(dim, int) else (Size(1, (dim.value,)) if dim.value else None)
        for dim in value.shape
    ]


def product(sizes: Iterable[Size | None]) -> Size | None:
    result = Size(1)
    for each in sizes:
        if each is None:
            return None
        result = result * each
    return result
