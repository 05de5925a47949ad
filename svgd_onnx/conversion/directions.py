"""Parameters that move where they lie: along their gradients, and in random directions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from svgd_onnx.conversion.sums import change

_PIECE = 1 << 16
# The deviation of numbers that are uniform between -0.5 and 0.5, inverted.
_UNIFORM = np.float32(12**0.5)


@dataclass(frozen=True)
class Direction:
    """How far parameters move in a step of 1.

    Attributes:
        along: by parameter, in gradients.
        across: by parameter, in random numbers of variance 1.
        seed: of these.
    """

    along: Mapping[str, float] = field(default_factory=dict)
    across: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0


def move(
    values: Mapping[str, np.ndarray],
    gradients: Mapping[str, np.ndarray],
    direction: Direction,
    step: float,
) -> float:
    """Adds a direction to parameters, times a step.

    The same step back brings them to where they were but for rounding. Of an array of many pieces all take
    their random numbers from one block of them, each from another place and with another sign.

    Args:
        values: float32, in C order; changed.
        gradients: of each, of its shape, float32.
        direction: where to.
        step: how far.

    Returns:
        The sum of gradients times moves, of what float32 made of these.
    """
    random = np.random.default_rng(direction.seed)
    block = (random.random(2 * _PIECE, np.float32) - np.float32(0.5)) * _UNIFORM
    total = 0.0
    for name in dict.fromkeys([*direction.along, *direction.across]):
        value, gradient = values[name].reshape(-1), gradients[name].reshape(-1)
        along = np.float32(step * direction.along.get(name, 0.0))
        across = step * direction.across.get(name, 0.0)
        for start in range(0, value.size, _PIECE):
            piece = value[start : start + _PIECE]
            slope = gradient[start : start + _PIECE]
            moved = piece + along * slope
            if across:
                place, sign = int(random.integers(_PIECE)), random.choice((-1, 1))
                moved += np.float32(sign * across) * block[place : place + piece.size]
            total += float(np.dot(slope, change(moved, piece)))
            piece[:] = moved
    return total
