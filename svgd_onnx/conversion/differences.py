"""How a loss changes over a step in float32, beside what its gradients say."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from svgd_onnx.conversion.directions import Direction, move
from svgd_onnx.conversion.sums import change, norm, product, size_of

Arrays = Mapping[str, np.ndarray]

# A parameter moves by this share of its norm, or by as much as changes the loss by this share.
_REACH, _CHANGE = 1e-2, 1e-3
_EPS = float(np.finfo(np.float32).eps)
# Rounding: how often it is probed, with how many units of the last place, of how many numbers at most.
_PROBES, _UNITS, _PROBED = 3, 4, 1 << 20


@dataclass(frozen=True)
class Difference:
    """Between the points a step on and a step back.

    Attributes:
        actual: by what the loss changes.
        predicted: by what the gradients say.
        bend: by what both ends together are off from twice the middle.
        step: how far it is.
    """

    actual: float
    predicted: float
    bend: float
    step: float

    @property
    def off(self) -> float:
        """What the gradients do not say."""
        return self.actual - self.predicted

    @property
    def is_finite(self) -> bool:
        """Whether the loss is, at both ends."""
        return bool(np.isfinite(self.off) and np.isfinite(self.bend))


class Differences:
    """A loss at parameters, and around them.

    Attributes:
        noise: by how much the loss may be off by rounding.

    Args:
        loss: the loss of the parameters as they are; rounded as float32 is.
        here: what it is now.
        values: the parameters, float32, in C order; they move where they lie, and come back.
        gradients: of each, of its shape, float32.
    """

    def __init__(
        self, loss: Callable[[], float], here: float, values: Arrays, gradients: Arrays
    ) -> None:
        self._loss = loss
        self._here = here
        self._values = values
        self._gradients = gradients
        self.sizes = {name: size_of(values[name]) for name in gradients}
        self.norms = {name: norm(gradient) for name, gradient in gradients.items()}
        self.numbers = {name: gradient.size for name, gradient in gradients.items()}
        self.noise = 2 * _EPS * abs(here)
        self._is_probed = False

    def reach(self, name: str) -> float:
        """How much a parameter could change the loss, moved by its own norm along its gradient."""
        return self.sizes[name] * sqrt(self.numbers[name]) * self.norms[name]

    def slope(self, names: Sequence[str]) -> float:
        """The deviation of the loss's change, moved at random by parameters' own sizes."""
        return sqrt(sum((self.sizes[name] * self.norms[name]) ** 2 for name in names))

    def along(self, names: Sequence[str]) -> tuple[dict[str, float], float]:
        """How far to move along gradients so that each changes the loss alike, and by what in all."""
        most = (_CHANGE * abs(self._here) + 500 * self.noise) / len(names)
        changes = {name: min(_REACH * self.reach(name), most) for name in names if self.norms[name]}
        lengths = {name: change / self.norms[name] ** 2 for name, change in changes.items()}
        return lengths, sum(changes.values())

    def across(self, names: Sequence[str], reach: float) -> dict[str, float]:
        """How far to move at random, in times of parameters' own sizes."""
        return {name: reach * self.sizes[name] for name in names}

    def over(self, direction: Direction, step: float) -> Difference:
        """The difference between the points that lie a step on and a step back."""
        self._move(direction, step)
        on = self._loss()
        predicted = -self._move(direction, -2 * step)
        back = self._loss()
        self._move(direction, step)
        return Difference(on - back, predicted, abs(on + back - 2 * self._here), step)

    def probe_rounding(self, random: np.random.Generator) -> None:
        """Finds how far off the loss is where numbers are changed in their last places; once."""
        if self._is_probed:
            return
        self._is_probed = True
        small = sorted(self._values, key=lambda name: self._values[name].size)
        sizes = itertools.accumulate(self._values[name].size for name in small)
        probed = [name for name, size in zip(small, sizes) if size <= _PROBED] or small[:1]
        kept = {name: self._values[name].copy() for name in probed}
        units = np.float32(_UNITS * _EPS)
        for _ in range(_PROBES):
            expected = 0.0
            for name, before in kept.items():
                signs = random.choice(np.array([-1, 1], np.float32), before.shape)
                changed = before * (1 + units * signs)
                expected += product(self._gradients[name], change(changed, before))
                self._values[name][...] = changed
            found = self._loss() - self._here - expected
            if np.isfinite(found):
                self.noise = max(self.noise, abs(found))
        for name, before in kept.items():
            self._values[name][...] = before

    def _move(self, direction: Direction, step: float) -> float:
        return move(self._values, self._gradients, direction, step)
