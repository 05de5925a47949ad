"""Descent of ai.svgd."""

from __future__ import annotations

import numpy as np
import pytest
from one_node import run


@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (5, 7), (400, 333)])
def test_it_has_the_bits_of_two_operators(shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    parameter, direction = (np.asarray(random.standard_normal(shape), np.float32) for _ in range(2))
    rate = np.float32(0.3)
    (found,) = run("Descent", [parameter, np.asarray(rate), direction], ["new"], 2)
    np.testing.assert_array_equal(found, parameter - rate * direction)


@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (400, 333)])
def test_it_tells_the_size_of_the_direction(shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(1)
    parameter, direction = (np.asarray(random.standard_normal(shape), np.float32) for _ in range(2))
    arrays = [parameter, np.array(0.3, np.float32), direction]
    new, size = run("Descent", arrays, ["new", "size"], 2)
    np.testing.assert_array_equal(new, parameter - np.float32(0.3) * direction)
    assert size == pytest.approx(np.abs(direction.astype(np.float64)).sum(), rel=1e-5)


@pytest.mark.parametrize("spoiled", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 70_000, 133_199])
def test_the_size_is_not_finite_where_one_number_is_not(spoiled: float, place: int) -> None:
    direction = np.ones((400, 333), np.float32)
    direction.reshape(-1)[place] = spoiled
    arrays = [np.ones_like(direction), np.array(0.3, np.float32), direction]
    _, size = run("Descent", arrays, ["new", "size"], 2)
    assert not np.isfinite(size)


@pytest.mark.parametrize(
    ("rate", "direction", "said"),
    [((2,), (4,), "the rate is not one number"), ((), (3,), "the direction has shape")],
)
def test_what_does_not_fit_is_refused(
    rate: tuple[int, ...], direction: tuple[int, ...], said: str
) -> None:
    arrays = [np.ones(shape, np.float32) for shape in ((4,), rate, direction)]
    with pytest.raises(Exception, match=said):
        run("Descent", arrays, ["new"])


@pytest.mark.parametrize("over", [{}, {"new": 0}])
@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (400, 333)])
def test_it_may_write_where_the_parameter_lies(
    shape: tuple[int, ...], over: dict[str, int]
) -> None:
    random = np.random.default_rng(2)
    parameter, direction = (np.asarray(random.standard_normal(shape), np.float32) for _ in range(2))
    rate, guard = np.array(0.3, np.float32), np.array(7, np.float32)
    (new,) = run("Descent", [parameter, rate, direction, guard], ["new"], 2, over)
    np.testing.assert_array_equal(new, parameter - rate * direction)


@pytest.mark.parametrize("over", [{}, {"new": 0}])
@pytest.mark.parametrize("guard", [np.nan, np.inf, -np.inf])
def test_nothing_changes_where_the_guard_is_not_finite(guard: float, over: dict[str, int]) -> None:
    parameter = np.random.default_rng(3).standard_normal((400, 333)).astype(np.float32)
    direction = np.full_like(parameter, np.nan)
    arrays = [parameter, np.array(0.3, np.float32), direction, np.array(guard, np.float32)]
    (new,) = run("Descent", arrays, ["new"], 2, over)
    np.testing.assert_array_equal(new, parameter)


def test_a_guard_is_one_number() -> None:
    arrays = [np.ones(shape, np.float32) for shape in ((4,), (), (4,), (2,))]
    with pytest.raises(Exception, match="the guard is not one number"):
        run("Descent", arrays, ["new"])
