"""DescentOfRows of ai.svgd: the same bits as zeros to which rows are added, and a descent by them."""

from __future__ import annotations

import numpy as np
import pytest
from one_node import run

RATE = np.array(0.3, np.float32)
# The parameter, and how many indices there are.
SHAPES = [((4, 3), 5), ((7, 129), 6), ((50, 300), 400), ((9, 4, 50), 11), ((6,), 4), ((5, 3), 0)]


def given(shape: tuple[int, ...], count: int) -> list[np.ndarray]:
    """The parameter, the rate, indices, some of them alike, and the rows."""
    random = np.random.default_rng(0)
    return [
        random.standard_normal(shape).astype(np.float32),
        RATE,
        random.integers(-shape[0], shape[0], (count, 1)),
        random.standard_normal((count, *shape[1:])).astype(np.float32),
    ]


def in_order(arrays: list[np.ndarray]) -> np.ndarray:
    """In float32, one row after another."""
    parameter, rate, indices, rows = arrays
    gradient = np.zeros_like(parameter)
    for index, row in zip(indices[:, 0], rows):
        gradient[index] += row
    after: np.ndarray = parameter - rate * gradient
    return after


@pytest.mark.parametrize("over", [None, {"new": 0}])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("shape", "count"), SHAPES)
def test_rows_descend(
    shape: tuple[int, ...], count: int, threads: int, over: dict[str, int] | None
) -> None:
    arrays = given(shape, count)
    (new,) = run("DescentOfRows", arrays, ["new"], threads, over)
    np.testing.assert_array_equal(new, in_order(arrays))


@pytest.mark.parametrize("over", [None, {"new": 0}])
@pytest.mark.parametrize("guard", [np.nan, np.inf])
def test_nothing_changes_where_the_guard_is_not_finite(
    guard: float, over: dict[str, int] | None
) -> None:
    arrays = [*given((50, 300), 40), np.array(guard, np.float32)]
    (new,) = run("DescentOfRows", arrays, ["new"], 2, over)
    np.testing.assert_array_equal(new, arrays[0])


@pytest.mark.parametrize("row", [4, -5, np.iinfo(np.int64).max, np.iinfo(np.int64).min])
def test_an_index_of_no_row_is_refused(row: int) -> None:
    arrays = given((4, 3), 5)
    arrays[2][2] = row
    with pytest.raises(Exception, match="is not of one of 4 rows"):
        run("DescentOfRows", arrays, ["new"])


@pytest.mark.parametrize(
    ("parameter", "rate", "rows", "said"),
    [
        ((), (), (2,), "the parameter has no axes"),
        ((4, 3), (2,), (2, 3), "the rate is not one number"),
        ((4, 3), (), (2, 4), "the directions have shape"),
        ((4, 3), (), (3, 3), "the directions have shape"),
    ],
)
def test_what_does_not_fit_is_refused(
    parameter: tuple[int, ...], rate: tuple[int, ...], rows: tuple[int, ...], said: str
) -> None:
    floats = [np.ones(shape, np.float32) for shape in (parameter, rate, rows)]
    arrays = [*floats[:2], np.zeros(2, np.int64), floats[2]]
    with pytest.raises(Exception, match=said):
        run("DescentOfRows", arrays, ["new"])
