"""Whether a loss changes as its gradient says, in float32.

Two kinds of direction are tried. Along the gradient itself a loss changes most, so that even float32 shows
an error of a few per cent in the gradient's length or direction. What a gradient lacks altogether lies
across it: for that, random directions.

A difference of float32 numbers can be wrong by rounding, and by kinks that lie between its two points or, as
where a Relu's input is exactly 0, at the middle. So a gradient is called wrong only if differences of
several steps agree with each other and not with it, and the loss bends little at the middle. Where they do
not tell, it is called unresolved.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

Arrays = Mapping[str, np.ndarray]
# Of each parameter how far it moves: an array that may be written to.
Moves = Iterator[tuple[str, np.ndarray]]

LARGE = 1 << 22
"""From so many trained numbers on a model is looked at less closely, as each look takes its time."""
# How far from the prediction a difference may be: along gradients relative to it, in random directions
# relative to its standard deviation.
_TOLERANCE, _RANDOM_TOLERANCE = 0.02, 0.25
# A parameter moves by this share of its norm, or by as much as changes the loss by this share.
_REACH, _CHANGE = 1e-2, 1e-3
_RANDOM_REACH = 1e-3
_STEPS = (1.0, 1 / 4, 4.0, 1 / 16, 16.0)
_SMALLEST_SIZE = 1e-2
# Rounding: how often it is probed, with how many units of the last place, of how many numbers at most.
_PROBES, _UNITS, _PROBED = 3, 4, 1 << 20
# A difference may be off by so many times what the probes show, and needs to be so many times that to tell.
_MARGIN, _RESOLVED = 4, 10
# Differences agree if they differ by no more than this share of what speaks against the gradient; and the
# loss is smooth where it bends by no more than this share of it.
_AGREEMENT, _BEND = 0.5, 0.1


@dataclass(frozen=True)
class _Closeness:
    """How closely a model is looked at.

    Attributes:
        alone: how many parameters, the largest, each alone.
        groups: into how many groups the others go.
        enough: how many random directions speak for a gradient.
        against: how many speak against it.
        most: how many are tried at most.
    """

    alone: int
    groups: int
    enough: int
    against: int
    most: int


_CLOSELY = _Closeness(alone=8, groups=8, enough=2, against=2, most=5)
_LESS_CLOSELY = _Closeness(alone=3, groups=4, enough=1, against=2, most=3)


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
class _Difference:
    """Of one step: the loss's change over it, what the gradient says, and the bend at the middle."""

    actual: float
    predicted: float
    scale: float
    bend: float
    step: float

    @property
    def off(self) -> float:
        return self.actual - self.predicted


def compare(
    loss: Callable[[Arrays], float],
    values: Arrays,
    gradients: Arrays,
    random: np.random.Generator,
) -> Findings:
    """Compares gradients with differences of the loss.

    Args:
        loss: the loss with some parameters changed; float32 in, rounded as float32 is.
        values: the parameters, float32.
        gradients: of each, of its shape, float32.
        random: where directions come from.
    """
    large = sum(gradient.size for gradient in gradients.values()) >= LARGE
    closeness = _LESS_CLOSELY if large else _CLOSELY
    comparison = _Comparison(loss, values, gradients, random, closeness)
    findings = Findings()
    for names in _groups(values, gradients, closeness):
        verdict = comparison.verdict(names)
        if verdict is None:
            findings.unresolved.extend(names)
        elif verdict != 1:
            _name_wrong(comparison, names, verdict, findings)
    return findings


def _name_wrong(
    comparison: _Comparison, names: Sequence[str], verdict: float, findings: Findings
) -> None:
    """Finds which of a group it is; the group as a whole where none stands out."""
    alone = {name: comparison.verdict([name]) for name in names} if len(names) > 1 else {}
    wrong = {name: found for name, found in alone.items() if found not in (None, 1)}
    for name, found in wrong.items():
        assert found is not None
        findings.wrong[name] = found
    if not wrong:
        findings.wrong[", ".join(names)] = verdict


def _groups(values: Arrays, gradients: Arrays, closeness: _Closeness) -> Iterator[list[str]]:
    """The largest parameters alone, the others with those that can change the loss about as much."""
    zero = [name for name, gradient in gradients.items() if not gradient.any()]
    by_size = sorted((n for n in gradients if n not in zero), key=lambda n: -gradients[n].size)
    yield from ([name] for name in by_size[: closeness.alone])
    rest = sorted(by_size[closeness.alone :], key=lambda name: _reach(values[name], gradients[name]))
    for names in (rest, zero):
        size = max(1, -(-len(names) // closeness.groups))
        yield from (names[start : start + size] for start in range(0, len(names), size))


class _Comparison:
    def __init__(
        self,
        loss: Callable[[Arrays], float],
        values: Arrays,
        gradients: Arrays,
        random: np.random.Generator,
        closeness: _Closeness,
    ) -> None:
        self._closeness = closeness
        self._loss = loss
        self._values = values
        self._gradients = gradients
        self._random = random
        self._here = loss({})
        self._noise = self._rounding()

    def verdict(self, names: Sequence[str]) -> float | None:
        """1 if the gradients are right; else how the loss changes relative to what they say; None if
        that cannot be told."""
        along = self._along(names)
        across = self._across(names)
        for verdict in (along, across):
            if verdict not in (None, 1):
                return verdict
        return along if any(self._gradients[name].any() for name in names) else across

    def _along(self, names: Sequence[str]) -> float | None:
        """Along the gradients, so far that each changes the loss alike."""
        most = (_CHANGE * abs(self._here) + 500 * self._noise) / len(names)
        lengths = {}
        for name in names:
            norm = _norm(self._gradients[name])
            if norm:
                reach = _reach(self._values[name], self._gradients[name])
                lengths[name] = min(_REACH * reach, most) / norm**2

        def moves(step: float) -> Moves:
            for name, length in lengths.items():
                yield name, np.float32(step * length) * self._gradients[name]

        return self._decide(moves, None, _TOLERANCE) if lengths else None

    def _across(self, names: Sequence[str]) -> float | None:
        """In random directions, until several of them say the same."""
        verdicts: list[float | None] = []
        for _ in range(self._closeness.most):
            verdicts.append(self._in_one_direction(names))
            wrong = [each for each in verdicts if each not in (None, 1)]
            if len(wrong) == self._closeness.against:
                return wrong[0]
            if not wrong and verdicts.count(1) == self._closeness.enough:
                break
        return 1 if 1 in verdicts else None

    def _in_one_direction(self, names: Sequence[str]) -> float | None:
        """In a direction along which a gradient's product has the standard deviation `scale`."""
        sizes = {name: _size(self._values[name]) for name in names}
        slope = sum((size * _norm(self._gradients[name])) ** 2 for name, size in sizes.items()) ** 0.5
        reach = 30 * _RANDOM_REACH
        if slope:
            reach = float(np.clip(40 * self._noise / slope, _RANDOM_REACH, reach))
        seed = int(self._random.integers(1 << 31))

        def moves(step: float) -> Moves:
            random = np.random.default_rng(seed)
            for name, size in sizes.items():
                direction = random.standard_normal(self._values[name].shape, np.float32)
                direction *= np.float32(step * reach * size)
                yield name, direction

        return self._decide(moves, 2 * reach * slope, _RANDOM_TOLERANCE)

    def _decide(
        self, moves: Callable[[float], Moves], scale: float | None, tolerance: float
    ) -> float | None:
        """1 as soon as a step agrees with the gradient; what the steps agree on if that is something else.

        Args:
            moves: of each parameter, by the step.
            scale: what the tolerance is relative to, for a step of 1; None for what the gradient says.
            tolerance: how far off a difference may be.
        """
        floor = _MARGIN * self._noise
        against: list[_Difference] = []
        too_small = 0.0
        for step in _STEPS:
            if step <= too_small:
                continue
            found = self._difference(moves, step, scale)
            if not np.isfinite(found.off) or not np.isfinite(found.bend):
                continue
            if abs(found.off) > tolerance * found.scale + floor:
                against.append(found)
            elif found.scale and tolerance * found.scale < 2 * floor:
                too_small = max(step, too_small)
            else:
                return 1.0
        against = [each for each in against if abs(each.off) > _RESOLVED * self._noise]
        against.sort(key=lambda each: each.step)
        for one, two in itertools.pairwise(against):
            rates = one.off / one.step, two.off / two.step
            agree = abs(rates[0] - rates[1]) <= _AGREEMENT * min(map(abs, rates))
            # where the loss is smooth, it bends by the square of the step; at a kink by the step itself
            kink = one.bend > max(floor, two.bend * _AGREEMENT * one.step / two.step)
            if agree and not kink and one.bend <= _BEND * abs(one.off):
                return _relative(one)
        return None

    def _difference(
        self, moves: Callable[[float], Moves], step: float, scale: float | None
    ) -> _Difference:
        """Between the points that lie a move on and a move back, each as float32 has it."""
        losses, predicted = [], 0.0
        for sign in (1, -1):
            end = {}
            for name, move in moves(sign * step):
                move += self._values[name]
                end[name] = move
                predicted += sign * _product(self._gradients[name], move, self._values[name])
            losses.append(self._loss(end))
        actual = losses[0] - losses[1]
        bend = abs(losses[0] + losses[1] - 2 * self._here)
        return _Difference(
            actual, predicted, abs(predicted) if scale is None else step * scale, bend, step
        )

    def _rounding(self) -> float:
        """How far apart the loss is from where it should be, with numbers changed in their last places."""
        small = sorted(self._values, key=lambda name: self._values[name].size)
        sizes = itertools.accumulate(self._values[name].size for name in small)
        probed = [name for name, size in zip(small, sizes) if size <= _PROBED] or small[:1]
        units = np.float32(_UNITS * np.finfo(np.float32).eps)
        noise = [2 * float(np.finfo(np.float32).eps) * abs(self._here)]
        for _ in range(_PROBES):
            changed = {
                name: self._values[name]
                * (1 + units * self._random.choice(np.array([-1, 1], np.float32), self._values[name].shape))
                for name in probed
            }
            expected = sum(
                _product(self._gradients[name], array, self._values[name])
                for name, array in changed.items()
            )
            found = self._loss(changed) - self._here - expected
            if np.isfinite(found):
                noise.append(abs(found))
        return max(noise)


def _relative(difference: _Difference) -> float:
    """The change that was found, relative to the one that the gradient says; never 1."""
    if abs(difference.predicted) < 1e-3 * abs(difference.actual):
        return float("inf")
    return difference.actual / difference.predicted


def _reach(value: np.ndarray, gradient: np.ndarray) -> float:
    """How much a parameter could change the loss, moved by its own norm along its gradient."""
    return _size(value) * value.size**0.5 * _norm(gradient)


def _size(value: np.ndarray) -> float:
    """The root of the mean of squares, but never too small to move by."""
    return max(_norm(value) / max(value.size, 1) ** 0.5, _SMALLEST_SIZE)


def _norm(array: np.ndarray) -> float:
    return _product(array, array) ** 0.5


_CHUNK = 1 << 20


def _product(one: np.ndarray, two: np.ndarray, less: np.ndarray | None = None) -> float:
    """The sum of products of one and two (less another) in float64, without copies of all of it."""
    total = 0.0
    flat = one.reshape(-1), two.reshape(-1), None if less is None else less.reshape(-1)
    for start in range(0, one.size, _CHUNK):
        part = [
            np.zeros(1) if array is None else array[start : start + _CHUNK].astype(np.float64)
            for array in flat
        ]
        total += float(np.dot(part[0], part[1] - part[2]))
    return total
