"""onnxruntime's arena for the processor, without the memory."""

from __future__ import annotations

from bisect import bisect_left, insort

# As in onnxruntime/core/framework/bfc_arena.cc, with its settings by default.
_UNIT = 256
_FIRST_REGION = 1 << 20
_LARGEST_GROWTH = 1 << 30
_MOST_WASTED = 128 << 20

Place = tuple[int, int]
"""The number of a region, and the offset in it."""


class Arena:
    """Best fit with coalescing, in regions of which each is twice as large as the one before.

    A page of a region is resident once it was written to, and stays so.

    Attributes:
        touched: the bytes that were ever given out, from the start of each region.
    """

    def __init__(self) -> None:
        self._next = _FIRST_REGION
        self._highest: list[int] = []
        self._starts: list[list[int]] = []  # of the chunks of each region
        self._chunks: dict[Place, tuple[int, bool]] = {}  # size, and whether it is free
        self._free: list[tuple[int, int, int]] = []  # size, region, offset

    @property
    def touched(self) -> int:
        """See the class."""
        return sum(self._highest)

    def take(self, size: int) -> Place:
        """A place for so many bytes, which are written."""
        rounded = max(1, -(-size // _UNIT)) * _UNIT
        at = bisect_left(self._free, (rounded, -1, -1))
        if at == len(self._free):
            self._extend(rounded)
            at = bisect_left(self._free, (rounded, -1, -1))
        has, region, offset = self._free.pop(at)
        rest = has - rounded
        if rest >= rounded or rest >= _MOST_WASTED:
            insort(self._starts[region], offset + rounded)
            self._put(region, offset + rounded, rest)
            has = rounded
        self._chunks[region, offset] = (has, False)
        self._highest[region] = max(self._highest[region], offset + size)
        return region, offset

    def give_back(self, place: Place) -> None:
        """Frees a place, which becomes one with what is free beside it."""
        region, offset = place
        starts = self._starts[region]
        at = bisect_left(starts, offset)
        size = self._chunks.pop(place)[0]
        if at + 1 < len(starts) and self._chunks[region, starts[at + 1]][1]:
            size += self._remove(region, starts.pop(at + 1))
        if at > 0 and self._chunks[region, starts[at - 1]][1]:
            del starts[at]
            offset = starts[at - 1]
            size += self._remove(region, offset)
        self._put(region, offset, size)

    def _extend(self, size: int) -> None:
        grown = size > self._next
        while size > self._next:
            self._next *= 2
        self._starts.append([0])
        self._highest.append(0)
        self._put(len(self._starts) - 1, 0, self._next)
        if not grown and self._next < _LARGEST_GROWTH:
            self._next *= 2

    def _put(self, region: int, offset: int, size: int) -> None:
        self._chunks[region, offset] = (size, True)
        insort(self._free, (size, region, offset))

    def _remove(self, region: int, offset: int) -> int:
        size, _ = self._chunks.pop((region, offset))
        del self._free[bisect_left(self._free, (size, region, offset))]
        return size
