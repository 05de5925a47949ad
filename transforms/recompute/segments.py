"""Where the forward pass is cut: what crosses a cut is kept, what lies between two is computed again."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace

import onnx_ir as ir

from svgd_onnx.transforms.recompute.forward_pass import ForwardPass
from svgd_onnx.transforms.recompute.memory import nbytes, owner

# Each budget for a segment is that much smaller than the one before.
_SHRINKING = 0.75
_BUDGETS = 24

# The share of what the backward pass read that may be kept: where cuts leave less, some segments are kept.
_SHARE = 0.35


@dataclass(frozen=True)
class Segments:
    """Cuts through a forward pass.

    Attributes:
        ends: the place of the first node behind each segment, in order.
        kept: the values that cross a cut.
        held: for each segment, the bytes that its backward pass reads besides.
    """

    ends: list[int]
    kept: set[ir.Value]
    held: list[int]

    @property
    def kept_nbytes(self) -> int:
        """The bytes of what is kept."""
        return sum(map(nbytes, self.kept))

    @property
    def nbytes(self) -> int:
        """What the backward pass takes at most: what is kept, and the largest segment."""
        return self.kept_nbytes + max(self.held, default=0)

    def again(self, most: float) -> int:
        """How many segments, from the first on, are computed again, if `most` bytes may be taken.

        Those behind them are kept whole. The backward pass begins there: what it has gone through makes room
        for what is computed again.
        """
        room = most - self.kept_nbytes - self.held[-1] if self.held else 0
        count = max(0, len(self.ends) - 1)
        while count > 0 and self.held[count - 1] <= room:
            count -= 1
            room -= self.held[count]
        return count


def choose_segments(forward: ForwardPass) -> Segments:
    """The cuts that leave the least to keep.

    Greedy, after Chen et al., Training Deep Nets with Sublinear Memory Cost (2016), Algorithm 3: for a budget,
    each segment goes as far as the values that its backward pass reads fit, and back from there to where the
    fewest bytes cross. The budget is the one of a geometric row whose cuts need the least. Unlike a minimum
    cut, this is linear in nodes, and knows that a segment's values are only there while its backward pass runs.
    """
    lives = _Lives(forward)
    budget = float(sum(lives.saved))
    found = []
    for _ in range(_BUDGETS):
        found.append(lives.segments(budget))
        budget *= _SHRINKING
    best = min(found, key=lambda segments: segments.nbytes)
    count = best.again(_SHARE * sum(lives.saved))
    return replace(best, ends=best.ends[:count] + best.ends[-1:])


class _Lives:
    """From where to where each value is read in the forward pass, by place.

    Attributes:
        saved: for each place, the bytes made there that the backward pass reads.
        crossing: for each place, the bytes that are made there or before, and read behind it.
    """

    def __init__(self, forward: ForwardPass) -> None:
        count = len(forward.nodes)
        self._made: dict[ir.Value, int] = {}
        last: dict[ir.Value, int] = defaultdict(int)
        for place, node in enumerate(forward.nodes):
            for value in node.inputs:
                if value is not None and forward.varies(value):
                    last[owner(value)] = place
            for value in node.outputs:
                if owner(value) is value and not forward.is_input(value):
                    self._made[value] = place
        self._last = last
        self.saved = [0] * count
        self._saved = {owner(value) for value in forward.saved}
        for value, place in self._made.items():
            if value in self._saved and not forward.is_kept(value):
                self.saved[place] += nbytes(value)
        self._always = forward.is_kept
        self.crossing = self._crossing(set())
        # Of two cuts that as much crosses, one is better whose values the backward pass reads anyway.
        self._only_crossing = self._crossing(self._saved)

    def _crossing(self, without: Collection[ir.Value]) -> list[int]:
        changes = [0] * (len(self.saved) + 1)
        for value, place in self._made.items():
            last = self._last[value]
            if last > place and value not in without and not self._always(value):
                changes[place] += nbytes(value)
                changes[last] -= nbytes(value)
        return list(itertools.accumulate(changes[:-1]))

    def segments(self, budget: float) -> Segments:
        """Cuts between segments that read no more than `budget` bytes in their backward pass."""
        ends, start = [], 0
        count = len(self.saved)
        while start < count:
            stop, held = start, 0
            while stop < count and (stop == start or held + self.saved[stop] <= budget):
                held += self.saved[stop]
                stop += 1
            if stop < count:
                places = range(stop - 1, start - 1, -1)
                stop = 1 + min(
                    places,
                    key=lambda place: (self.crossing[place], self._only_crossing[place], -place),
                )
            ends.append(stop)
            start = stop
        return self._measured(ends)

    def _measured(self, ends: list[int]) -> Segments:
        kept = set()
        segment_of: list[int] = []
        for index, end in enumerate(ends):
            segment_of += [index] * (end - len(segment_of))
        held = [0] * len(ends)
        for value, place in self._made.items():
            if self._always(value):
                continue
            if segment_of[self._last[value]] > segment_of[place]:
                kept.add(value)
            elif value in self._saved:
                held[segment_of[place]] += nbytes(value)
        return Segments(ends, kept, held)
