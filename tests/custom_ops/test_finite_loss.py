"""FiniteLoss: a loss that is NaN where a number of several tensors is not finite."""

from __future__ import annotations

import numpy as np
import pytest
from one_node import run

LOSS = np.array(0.7, np.float32)
SHAPES: list[tuple[int, ...]] = [(3,), (2, 5, 7), (), (200_003,), (0, 4)]


def tensors() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.normal(size=shape).astype(np.float32) for shape in SHAPES]


def loss(given: list[np.ndarray], threads: int = 1, **attributes: int) -> np.ndarray:
    (found,) = run("FiniteLoss", [LOSS, *given], ["y"], threads, **attributes)
    assert found.shape == ()
    return found


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("squares, factors", [(0, 0), (2, 0), (5, 0), (2, 2)])
def test_it_is_the_loss_where_all_is_finite(squares: int, factors: int, threads: int) -> None:
    assert loss(tensors(), threads, squares=squares, factors=factors) == LOSS


@pytest.mark.parametrize("place", [0, 1, 100_000, 200_002])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("squares, factors", [(0, 0), (2, 0), (0, 2), (3, 1)])
def test_one_odd_number_is_enough(squares: int, factors: int, odd: float, place: int) -> None:
    given = tensors()
    given[3][place] = odd
    assert np.isnan(loss(given, squares=squares, factors=factors))


def test_a_loss_that_is_not_finite_is_none() -> None:
    (found,) = run("FiniteLoss", [np.array(np.inf, np.float32), np.float32([1])], ["y"])
    assert not np.isfinite(found)


@pytest.mark.parametrize("attributes, finite", [({}, True), ({"squares": 1}, False)])
def test_a_square_beyond_float32_counts(attributes: dict[str, int], finite: bool) -> None:
    found = loss([np.float32([1]), np.float32([1e20])], **attributes)
    assert np.isfinite(found) == finite


@pytest.mark.parametrize("size, finite", [(1e18, True), (1e22, False)])
def test_factors_multiply_the_rest(size: float, finite: bool) -> None:
    found = loss([np.float32([size]), np.float32([1e9])], factors=1)
    assert np.isfinite(found) == finite


def test_more_squares_than_tensors_are_refused() -> None:
    with pytest.raises(Exception, match="fewer inputs than squares and factors"):
        loss([np.float32([1])], squares=1, factors=1)


def test_several_losses_are_refused() -> None:
    with pytest.raises(Exception, match="the loss is not one number"):
        run("FiniteLoss", [np.float32([1, 2]), np.float32([1])], ["y"])
