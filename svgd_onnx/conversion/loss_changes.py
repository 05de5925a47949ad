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
from math import sqrt
from typing import NamedTuple

import numpy as np

from svgd_onnx.conversion.sums import norm, product, size_of

Arrays = Mapping[str, np.ndarray]
# Of each parameter how far it moves: an array that may be written to.
Moves = Iterator[tuple[str, np.ndarray]]

LARGE = (
    1 << 22
)  # from so many trained numbers on a model is looked at less closely, as that takes time
# How far from the prediction a difference may be: along gradients relative to it, in random directions
# relative to its standard deviation.
_TOLERANCE, _RANDOM_TOLERANCE = 0.02, 0.25
# A parameter moves by this share of its norm, or by as much as changes the loss by this share.
_REACH, _CHANGE = 1e-2, 1e-3
_RANDOM_REACH = 1e-3
_STEPS = (1.0, 1 / 4, 4.0, 1 / 16, 16.0)
# Rounding: how often it is probed, with how many units of the last place, of how many numbers at most.
_PROBES, _UNITS, _PROBED = 3, 4, 1 << 20
# A difference may be off by so many times what the probes show, and needs to be so many times that to tell.
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
    for names in comparison.groups():
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
    wrong = {name: found for name, found in alone.items() if found is not None and found != 1}
    findings.wrong.update(wrong)
    if not wrong:
        findings.wrong[", ".join(names)] = verdict


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
        self._sizes = {name: size_of(values[name]) for name in gradients}
        self._norms = {name: norm(gradient) for name, gradient in gradients.items()}
        self._here = loss({})
        self._noise = self._rounding()

    def groups(self) -> Iterator[list[str]]:
        """The largest parameters alone, the others with those that can change the loss about as much."""
        zero = [name for name, length in self._norms.items() if not length]
        by_size = sorted(self._norms.keys() - zero, key=lambda n: (-self._gradients[n].size, n))
        yield from ([name] for name in by_size[: self._closeness.alone])
        rest = sorted(by_size[self._closeness.alone :], key=self._reach)
        for names in (rest, zero):
            size = max(1, -(-len(names) // self._closeness.groups))
            yield from (names[start : start + size] for start in range(0, len(names), size))

    def verdict(self, names: Sequence[str]) -> float | None:
        """1 if the gradients are right, None if that cannot be told; else the change relative to theirs."""
        along = self._along(names)
        across = self._across(names)
        for verdict in (along, across):
            if verdict not in (None, 1):
                return verdict
        return along if any(self._norms[name] for name in names) else across

    def _along(self, names: Sequence[str]) -> float | None:
        """Along the gradients, so far that each changes the loss alike."""
        most = (_CHANGE * abs(self._here) + 500 * self._noise) / len(names)
        lengths = {}
        for name in names:
            if self._norms[name]:
                lengths[name] = min(_REACH * self._reach(name), most) / self._norms[name] ** 2

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
            if len(wrong) == 2:
                return wrong[0]
            if not wrong and verdicts.count(1) == self._closeness.enough:
                break
        return 1 if 1 in verdicts else None

    def _in_one_direction(self, names: Sequence[str]) -> float | None:
        """In a direction along which a gradient's product has the standard deviation `scale`."""
        slope = sum((self._sizes[name] * self._norms[name]) ** 2 for name in names) ** 0.5
        reach = 30 * _RANDOM_REACH
        if slope:
            reach = float(np.clip(40 * self._noise / slope, _RANDOM_REACH, reach))
        seed = int(self._random.integers(1 << 31))

        def moves(step: float) -> Moves:
            random = np.random.default_rng(seed)
            for name in names:
                direction = random.random(self._values[name].shape, np.float32)
                direction -= np.float32(0.5)
                direction *= np.float32(
                    step * reach * self._sizes[name] * 12**0.5
                )  # of variance 1 before
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
                predicted += sign * product(self._gradients[name], move, self._values[name])
            losses.append(self._loss(end))
        actual = losses[0] - losses[1]
        bend = abs(losses[0] + losses[1] - 2 * self._here)
        return _Difference(
            actual, predicted, abs(predicted) if scale is None else step * scale, bend, step
        )

    def _reach(self, name: str) -> float:
        """How much a parameter could change the loss, moved by its own norm along its gradient."""
        return self._sizes[name] * sqrt(self._values[name].size) * self._norms[name]

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
                * (
                    1
                    + units
                    * self._random.choice(np.array([-1, 1], np.float32), self._values[name].shape)
                )
                for name in probed
            }
            expected = sum(
                product(self._gradients[name], array, self._values[name])
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
