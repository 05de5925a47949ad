"""SizeSum: what is finite only where every number of several tensors is."""

from __future__ import annotations

import numpy as np
import pytest
from one_node import run

SHAPES: list[tuple[int, ...]] = [(3,), (2, 5, 7), (), (200_003,), (0, 4)]


def tensors() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.normal(size=shape).astype(np.float32) for shape in SHAPES]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("squares", [0, 2, len(SHAPES)])
def test_sizes_and_squares_are_added_up(squares: int, threads: int) -> None:
    given = tensors()
    split = len(given) - squares
    wide = [array.astype(float) for array in given]
    expected = sum(np.abs(array).sum() for array in wide[:split])
    expected += sum((array**2).sum() for array in wide[split:])
    (found,) = run("SizeSum", given, ["y"], threads, squares=squares)
    assert found.shape == ()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_one_tensor_is_enough() -> None:
    (found,) = run("SizeSum", [np.float32([-1, 2])], ["y"])
    assert found == 3


@pytest.mark.parametrize("place", [0, 1, 100_000, 200_002])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("squares", [0, 2])
def test_one_odd_number_is_enough(squares: int, odd: float, place: int) -> None:
    given = tensors()
    given[3][place] = odd
    (found,) = run("SizeSum", given, ["y"], squares=squares)
    assert not np.isfinite(found)


def test_a_square_beyond_float32_counts() -> None:
    given = [np.float32([1]), np.float32([1e20])]
    assert np.isfinite(run("SizeSum", given, ["y"])[0])
    assert np.isinf(run("SizeSum", given, ["y"], squares=1)[0])


def test_more_squares_than_tensors_are_refused() -> None:
    with pytest.raises(Exception, match="fewer inputs than squares"):
        run("SizeSum", [np.float32([1])], ["y"], squares=2)
