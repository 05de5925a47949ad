"""Which tensor of a module a trained parameter of its export is, and how far their gradients differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

# Folding rounds the weights.
_EQUAL = 1e-5
# Of a parameter whose gradient is smaller than this part of the largest, noise is all there is.
_NEGLIGIBLE = 1e-6


@dataclass(frozen=True)
class Match:
    """A parameter that was found.

    Attributes:
        trained: its name in the exported model.
        original: its name in the module.
        error: the largest difference from autograd's gradient in float64, relative to that one's largest entry,
            or to a millionth of the largest of all parameters.
        rounding: the same of autograd in float32.
    """

    trained: str
    original: str
    error: float
    rounding: float


@dataclass(frozen=True)
class Reference:
    """The module's parameters: values, gradients of autograd in float64, and of autograd in float32."""

    values: Mapping[str, np.ndarray]
    gradients: Mapping[str, np.ndarray]
    in_single: Mapping[str, np.ndarray]


def match(
    values: Mapping[str, np.ndarray], gradients: Mapping[str, np.ndarray], reference: Reference
) -> tuple[list[Match], list[str], list[str]]:
    """Pairs parameters that hold the same numbers, in whatever order.

    Of several with the same numbers, as the scales of a new network, that of the same name is taken, or
    else that of the nearest gradient.

    Args:
        values: of what was trained, by name, before the first step.
        gradients: of the first step.
        reference: the module.

    Returns:
        What was found, the names of trained tensors that are nothing in the module, and those of the module
        that are not trained.
    """
    floor = _NEGLIGIBLE * max(np.abs(each).max() for each in reference.gradients.values())
    left = {original: _Sum.of(other) for original, other in reference.values.items()}
    found, strange = [], []
    for name, value in values.items():
        errors, total = {}, _Sum.of(value)
        for original, other in left.items():
            if not total.may_be(other):
                continue
            gradient = _rearranged(value, gradients[name], reference.values[original])
            if gradient is not None:
                errors[original] = _error(gradient, reference.gradients[original], floor)
        if not errors:
            strange.append(name)
            continue
        original = name if name in errors else min(errors, key=lambda each: errors[each])
        del left[original]
        rounding = _error(reference.in_single[original], reference.gradients[original], floor)
        found.append(Match(name, original, errors[original], rounding))
    return found, strange, list(left)


@dataclass(frozen=True)
class _Sum:
    """What the same numbers have in common in any order, and is found fast."""

    size: int
    total: float
    absolute: float

    @classmethod
    def of(cls, array: np.ndarray) -> _Sum:
        total, absolute = (float(each.sum(dtype=np.float64)) for each in (array, np.abs(array)))
        return cls(array.size, total, absolute)

    def may_be(self, other: _Sum) -> bool:
        return self.size == other.size and abs(self.total - other.total) <= _EQUAL * other.absolute


def _error(gradient: np.ndarray, expected: np.ndarray, floor: float) -> float:
    scale = max(float(np.abs(expected).max()), floor)
    return float(np.abs(gradient.ravel() - expected.ravel()).max()) / scale


def _rearranged(value: np.ndarray, gradient: np.ndarray, other: np.ndarray) -> np.ndarray | None:
    """A gradient in the order of another tensor that holds the same numbers; None if it does not."""
    expected = other.ravel()
    if _are_equal(value.ravel(), expected):
        return gradient.ravel()
    if _are_equal(value.T.ravel(), expected):
        return gradient.T.ravel()
    order, wanted = np.argsort(value.ravel()), np.argsort(expected)
    if not _are_equal(value.ravel()[order], expected[wanted]):
        return None
    result = np.empty_like(expected)
    result[wanted] = gradient.ravel()[order]
    return result


def _are_equal(one: np.ndarray, other: np.ndarray) -> bool:
    scale = _EQUAL * float(np.abs(other).max())
    return bool(np.abs(one[:64] - other[:64]).max() <= scale) and bool(
        np.abs(one - other).max() <= scale
    )
