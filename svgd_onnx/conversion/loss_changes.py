"""Whether a loss changes as its gradient says, in float32.

Two kinds of direction are tried. Along the gradient itself a loss changes most, so that even float32 shows
an error of a few per cent in the gradient's length or direction. What a gradient lacks altogether lies
across it: for that, random directions.

At first sight all parameters move together, along and across at once: where the loss then changes by what
all gradients say, within what one of them may be off by, they are right. Only where it does not, parts are
looked at by themselves.

A difference of float32 numbers can be wrong by rounding, and by kinks that lie between its two points or, as
where a Relu's input is exactly 0, at the middle. So a gradient is called wrong only if differences of
several steps agree with each other and not with it, and the loss bends little at the middle. Where they do
not tell, it is called unresolved.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from svgd_onnx.conversion.differences import Arrays, Difference, Differences
from svgd_onnx.conversion.directions import Direction

# From so many trained numbers on a model is looked at less closely, as that takes time.
LARGE = 1 << 22
# How far from the prediction a difference may be: along gradients relative to it, in random directions
# relative to its standard deviation.
_TOLERANCE, _RANDOM_TOLERANCE = 0.02, 0.25
# In random directions parameters move by shares of their size.
_RANDOM_REACH, _MOST_RANDOM_REACH = 1e-3, 3e-2
_STEPS = (1.0, 1 / 4, 4.0, 1 / 16, 16.0)
# A difference may be off by so many times the noise, and needs to be so many times that to tell.
_MARGIN, _RESOLVED = 4, 10
# Shares of what speaks against a gradient, by which differences that agree differ, and a smooth loss bends.
_AGREEMENT, _BEND = 0.5, 0.1


class _Closeness(NamedTuple):
    """How closely a model is looked at."""

    alone: int  # how many parameters, the largest, each alone
    groups: int  # of the others
    enough: int  # random directions that speak for a gradient; two speak against it
    most: int  # that are tried


_CLOSELY = _Closeness(alone=8, groups=8, enough=2, most=5)
_LESS_CLOSELY = _Closeness(alone=3, groups=4, enough=1, most=3)


@dataclass
class Findings:
    """What was found of gradients.

    Attributes:
        wrong: by parameter (or several with commas between) the change of the loss that was found,
            relative to the one that its gradient says.
        unresolved: parameters of which float32 does not tell.
    """

    wrong: dict[str, float] = field(default_factory=dict)
    unresolved: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Group:
    """Parameters that are looked at together, and how they move at first sight.

    Attributes:
        names: theirs.
        along: how far along gradients.
        across: how far at random.
        tolerance: by what a difference of a step of 1 may be off along and across, whichever is less.
    """

    names: Sequence[str]
    along: dict[str, float]
    across: dict[str, float]
    tolerance: float


class LossChanges:
    """Gradients, compared with differences of the loss.

    Args:
        loss: the loss of the parameters as they are; rounded as float32 is.
        here: what it is now.
        values: the parameters, float32, in C order; they move where they lie, and come back but for rounding.
        gradients: of each, of its shape, float32.
        random: where directions come from.
    """

    def __init__(
        self,
        loss: Callable[[], float],
        here: float,
        values: Arrays,
        gradients: Arrays,
        random: np.random.Generator,
    ) -> None:
        self._of = Differences(loss, here, values, gradients)
        self._random = random
        large = sum(self._of.numbers.values()) >= LARGE
        self._closeness = _LESS_CLOSELY if large else _CLOSELY

    def first_sight(self) -> tuple[list[Sequence[str]], list[str]]:
        """What is not seen to be right where all parameters move at once.

        Each group moves so far that the same difference would speak against any of them.

        Returns:
            Groups that have to be looked at by themselves; and parameters of which float32 does not tell.
        """
        groups = [self._group(names) for names in self._groups()]
        told = [group for group in groups if 0 < self._least <= _STEPS[-1] * group.tolerance]
        faint = [group for group in groups if group not in told]
        doubtful = [group.names for group in self._not_right(told)]
        if faint and not self._say_nothing(faint):
            return [*doubtful, *(group.names for group in faint)], []
        return doubtful, [name for group in faint if group.along for name in group.names]

    def findings(self, groups: Sequence[Sequence[str]]) -> Findings:
        """What is found of groups of parameters, each by itself."""
        findings = Findings()
        if groups:
            self._of.probe_rounding(self._random)
        for names in groups:
            verdict = self._verdict(names)
            if verdict is None:
                findings.unresolved.extend(names)
            elif verdict != 1:
                self._name_wrong(names, verdict, findings)
        return findings

    def _groups(self) -> Iterator[list[str]]:
        """The largest parameters alone, the others with those that can change the loss about as much."""
        norms, numbers = self._of.norms, self._of.numbers
        zero = [name for name, length in norms.items() if not length]
        by_size = sorted(norms.keys() - zero, key=lambda name: (-numbers[name], name))
        yield from ([name] for name in by_size[: self._closeness.alone])
        rest = sorted(by_size[self._closeness.alone :], key=self._of.reach)
        for names in (rest, zero):
            size = max(1, -(-len(names) // self._closeness.groups))
            yield from (names[start : start + size] for start in range(0, len(names), size))

    def _group(self, names: Sequence[str]) -> _Group:
        """Moves across no further than shows what along shows."""
        along, change = self._of.along(names)
        slope, reach = self._of.slope(names), _MOST_RANDOM_REACH
        if slope:
            reach = min(reach, _TOLERANCE * change / (_RANDOM_TOLERANCE * slope))
        tolerance = 2 * min(_TOLERANCE * change, _RANDOM_TOLERANCE * reach * slope)
        return _Group(names, along, self._of.across(names, reach), tolerance)

    @property
    def _least(self) -> float:
        """A tolerance that rounding does not hide."""
        return 2 * _MARGIN * self._of.noise

    def _not_right(self, groups: Sequence[_Group]) -> list[_Group]:
        """Those that are in the way of what moves together being right, by halves."""
        if not groups or self._are_right(groups):
            return []
        self._of.probe_rounding(self._random)
        if len(groups) == 1:
            return list(groups)
        half = len(groups) // 2
        return [*self._not_right(groups[:half]), *self._not_right(groups[half:])]

    def _are_right(self, groups: Sequence[_Group]) -> bool:
        """Whether the loss changes as gradients say where all groups move.

        Each moves so far that rounding does not hide its tolerance, and no further: the less
        they move, the straighter a loss is.
        """
        steps = [min(_STEPS[-1], self._least / group.tolerance) for group in groups]
        tolerance = min(step * group.tolerance for step, group in zip(steps, groups))
        found = self._together(groups, steps)
        return all(
            abs(each.off) <= tolerance and each.bend <= _BEND * abs(each.actual) for each in found
        )

    def _say_nothing(self, groups: Sequence[_Group]) -> bool:
        """Whether nothing speaks against gradients that are too small to speak for themselves."""
        steps = [_STEPS[-1] if group.along else 1.0 for group in groups]
        found = self._together(groups, steps)
        return all(abs(each.off) <= _MARGIN * self._of.noise for each in found)

    def _together(self, groups: Sequence[_Group], steps: Sequence[float]) -> Iterator[Difference]:
        along, across = (
            {
                name: step * length
                for group, step in zip(groups, steps)
                for name, length in lengths(group).items()
            }
            for lengths in (attrgetter("along"), attrgetter("across"))
        )
        for _ in range(self._closeness.enough):
            yield self._of.over(Direction(along, across, self._seed()), 1.0)

    def _verdict(self, names: Sequence[str]) -> float | None:
        """1 if the gradients are right, None if that cannot be told; else the change relative to theirs."""
        along = self._along(names)
        across = self._across(names)
        for verdict in (along, across):
            if verdict not in (None, 1):
                return verdict
        return along if any(self._of.norms[name] for name in names) else across

    def _along(self, names: Sequence[str]) -> float | None:
        lengths, _ = self._of.along(names)
        return self._decide(Direction(along=lengths), None, _TOLERANCE) if lengths else None

    def _across(self, names: Sequence[str]) -> float | None:
        """In random directions, until several of them say the same."""
        verdicts: list[float | None] = []
        for _ in range(self._closeness.most):
            verdicts.append(self._in_one_direction(names))
            wrong = [each for each in verdicts if each not in (None, 1)]
            if len(wrong) == 2:
                return wrong[0]
            if not wrong and verdicts.count(1) == self._closeness.enough:
                break
        return 1 if 1 in verdicts else None

    def _in_one_direction(self, names: Sequence[str]) -> float | None:
        slope, reach = self._of.slope(names), _MOST_RANDOM_REACH
        if slope:
            reach = float(np.clip(40 * self._of.noise / slope, _RANDOM_REACH, reach))
        direction = Direction(across=self._of.across(names, reach), seed=self._seed())
        return self._decide(direction, 2 * reach * slope, _RANDOM_TOLERANCE)

    def _decide(self, direction: Direction, scale: float | None, tolerance: float) -> float | None:
        """1 as soon as a step agrees with the gradient; what the steps agree on if that is something else.

        Args:
            direction: where to.
            scale: what the tolerance is relative to, for a step of 1; None for what the gradient says.
            tolerance: how far off a difference may be.
        """
        noise = self._of.noise
        seen: list[Difference] = []
        against: list[Difference] = []
        too_small = 0.0
        for step in _STEPS:
            if step <= too_small:
                continue
            found = self._of.over(direction, step)
            if not found.is_finite:
                continue
            seen.append(found)
            allowed = tolerance * (abs(found.predicted) if scale is None else step * scale)
            if abs(found.off) > allowed + _MARGIN * noise:
                against.append(found)
            elif allowed and allowed < 2 * _MARGIN * noise:
                too_small = max(step, too_small)
            else:
                return 1.0
        return self._agreed(against, seen)

    def _agreed(self, against: list[Difference], seen: Sequence[Difference]) -> float | None:
        """What differences that speak against a gradient say in its place, if they agree.

        Args:
            against: those.
            seen: all.
        """
        noise = self._of.noise
        against = [each for each in against if abs(each.off) > _RESOLVED * noise]
        against.sort(key=lambda each: each.step)
        for one, two in itertools.pairwise(against):
            rates = one.off / one.step, two.off / two.step
            agree = abs(rates[0] - rates[1]) <= _AGREEMENT * min(map(abs, rates))
            # where the loss is smooth, it bends by the square of the step; at a kink by the step itself
            straight = max(_MARGIN * noise, two.bend * _AGREEMENT * one.step / two.step)
            if agree and one.bend <= straight and one.bend <= _BEND * abs(one.off):
                # else it is the loss that bends further out, as behind many a Relu's kink
                nearer = (each for each in seen if each.step < one.step)
                if not any(self._is_nearer(each, rates[0]) for each in nearer):
                    return _relative(one)
        return None

    def _is_nearer(self, found: Difference, rate: float) -> bool:
        """Whether a gradient is less off over a step than by a rate."""
        off = abs(found.off) + _MARGIN * self._of.noise
        return off < _AGREEMENT * abs(rate) * found.step

    def _name_wrong(self, names: Sequence[str], verdict: float, findings: Findings) -> None:
        """Finds which of a group it is; the group as a whole where none stands out."""
        alone = {name: self._verdict([name]) for name in names} if len(names) > 1 else {}
        wrong = {name: found for name, found in alone.items() if found is not None and found != 1}
        findings.wrong.update(wrong)
        if not wrong:
            findings.wrong[", ".join(names)] = verdict

    def _seed(self) -> int:
        return int(self._random.integers(1 << 31))


def _relative(difference: Difference) -> float:
    """The change that was found, relative to the one that the gradient says; never 1."""
    if abs(difference.predicted) < 1e-3 * abs(difference.actual):
        return float("inf")
    return difference.actual / difference.predicted
