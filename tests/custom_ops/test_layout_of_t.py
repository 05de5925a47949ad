"""T of a gradient that has its channels last, while r has them first: the same numbers in another order."""

from __future__ import annotations

import numpy as np
import pytest
from one_node import run

OUTPUTS = ("out", "r_new")
SHAPES = [
    (2, 3, 5),
    (4, 17, 6, 7),
    (3, 1, 4),
    (3, 4, 1),
    (2, 33, 3, 4, 5),
    (1, 2, 2),
    (2, 40, 37, 31),
]
SHAPES += [(2, 1500, 5, 5), (1100, 3, 4, 5)]  # channels that a block does not hold, and many rows


def tensors(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.standard_normal(shape, np.float32), random.uniform(0, 1, shape[1:]).astype("f4")


def last(array: np.ndarray, first: int) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(array, first, -1))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_t_and_r_are_those_of_channels_second(shape: tuple[int, ...], threads: int) -> None:
    dy, r = tensors(shape)
    out, r_new = run("VirtualGradient", [dy, r], OUTPUTS)
    turned, updated = run("VirtualGradient", [last(dy, 1), r], OUTPUTS, threads, channels_last=1)
    np.testing.assert_array_equal(turned, last(out, 1))
    np.testing.assert_array_equal(updated, r_new)


@pytest.mark.parametrize("shape", SHAPES)
def test_factors_come_in_the_order_of_the_gradient(shape: tuple[int, ...]) -> None:
    dy, r = tensors(shape)
    factors, r_new = run("GradientFactor", [dy, r], OUTPUTS)
    turned, updated = run("GradientFactor", [last(dy, 1), r], OUTPUTS, channels_last=1)
    np.testing.assert_array_equal(turned, last(factors, 0))
    np.testing.assert_array_equal(updated, r_new)


def test_r_of_another_shape_is_refused() -> None:
    dy, r = tensors((2, 3, 5))
    with pytest.raises(Exception, match="the last before the others"):
        run("VirtualGradient", [dy, r], OUTPUTS, channels_last=1)


def test_the_layout_and_an_axis_of_channels_are_not_given_together() -> None:
    dy, r = tensors((2, 3, 5))
    with pytest.raises(Exception, match="only one of them may be"):
        run("VirtualGradient", [dy, r], OUTPUTS, channels_last=1, channel_axis=1)
