"""A gradient beside central differences of the loss in float64."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Steps are these fractions of a parameter's size. At the first, a difference in float64 usually loses
# about as much to rounding as to curvature, some 1e-9 of its value; smaller ones pass by fewer kinks.
_STEPS = (1e-6, 1e-7, 1e-8)
_SMALLEST_SIZE = 1e-2
# Rounding may explain so many times what it does to the gradient.
_ROUNDING_FACTOR = 5

TINY = float(np.finfo(np.float64).tiny)

DEFAULT_TOLERANCE = 5e-3


@dataclass(frozen=True)
class ParameterCheck:
    """What was found of the gradient of one parameter.

    Attributes:
        parameter: its name.
        shape: its shape.
        computed: the directional derivatives that onnxruntime's float32 gradient gives.
        expected: those that central differences in float64 give.
        error: the largest difference between the two, relative to the norm of the gradient (which is
            the standard deviation of the derivative along a random direction).
        rounding: how far float32 can be trusted here: how much the gradient changes, relative to its
            norm, when all numbers that go in change by a few units of their last place. It is large
            in deep networks, where rounding decides which side of a kink a value lies on.

    Example:
        >>> (found,) = svgd_onnx.check("model.onnx", only=["fc2.bias"], directions=3)
        >>> found.shape, len(found.computed), found.error < 0.005
        ((10,), 3, True)
    """

    parameter: str
    shape: tuple[int, ...]
    computed: tuple[float, ...]
    expected: tuple[float, ...]
    error: float
    rounding: float

    @property
    def is_lost(self) -> bool:
        """Whether rounding explains so much that any gradient would do, also none."""
        return _ROUNDING_FACTOR * self.rounding >= 1

    def is_right(self, tolerance: float = DEFAULT_TOLERANCE) -> bool:
        """Whether the error is small enough.

        Args:
            tolerance: the largest that needs no explanation; what rounding explains comes on top.

        Returns:
            Whether it is within both.
        """
        return self.error <= tolerance + _ROUNDING_FACTOR * self.rounding

    @property
    def steepest(self) -> tuple[float, float]:
        """Computed and expected, along the direction in which the loss changes most."""
        return max(zip(self.computed, self.expected), key=lambda pair: max(map(abs, pair)))


def check_parameter(
    name: str,
    value: np.ndarray,
    gradient: np.ndarray,
    *,
    scale: float,
    loss: Callable[[np.ndarray], float],
    directions: np.ndarray,
    rounding: float,
) -> ParameterCheck:
    """Compares directional derivatives of a gradient with those of the loss.

    Args:
        name: of the parameter.
        value: its value, float32.
        gradient: its gradient, of its shape, float64.
        scale: the gradient's norm, which errors are relative to, or what rounding may be if that is more;
            above 0.
        loss: the loss in float64, by the parameter's value.
        directions: (directions, ...), of the parameter's shape each.
        rounding: how far float32 can be trusted, relative to `scale`.
    """
    center = value.astype(np.float64)
    size = max(rms(value[np.isfinite(value)]), _SMALLEST_SIZE)
    accepted = size * scale * (DEFAULT_TOLERANCE + _ROUNDING_FACTOR * rounding)
    computed = [float(np.sum(gradient * direction)) for direction in directions]
    expected = [
        _difference_quotient(loss, center, size * direction, size * derivative, accepted) / size
        for direction, derivative in zip(directions, computed)
    ]
    largest = max(scale, *map(abs, expected))
    error = max(abs(a - b) for a, b in zip(computed, expected)) / largest
    return ParameterCheck(name, value.shape, tuple(computed), tuple(expected), error, rounding)


def _difference_quotient(
    loss: Callable[[np.ndarray], float],
    center: np.ndarray,
    direction: np.ndarray,
    computed: float,
    accepted: float,
) -> float:
    """The central difference along a direction, at the step where it depends least on the step.

    Other steps than the first are tried only if that differs from what was computed by more than is
    accepted.
    """
    quotients: list[float] = []
    for step in _STEPS:
        difference = loss(center + step * direction) - loss(center - step * direction)
        quotients.append(difference / (2 * step))
        if len(quotients) == 1 and abs(quotients[0] - computed) <= accepted:
            return quotients[0]
    changes = [abs(a - b) for a, b in itertools.pairwise(quotients)]
    return quotients[changes.index(min(changes)) + 1]


def rms(array: np.ndarray) -> float:
    """The root of the mean of squares, computed in float64; 0 of nothing."""
    if not array.size:
        return 0.0
    return float(np.sqrt(np.mean(np.square(array, dtype=np.float64))))
