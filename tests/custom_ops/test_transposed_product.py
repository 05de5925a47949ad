"""TransposedProduct against NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
from one_node import run

# (..., K), M, N: fewer and more than a tile, a block, a panel and a slab; several products.
SHAPES = [
    ((1,), 1, 1),
    ((3,), 2, 5),
    ((8,), 6, 16),
    ((300,), 7, 33),
    ((257,), 145, 130),
    ((1030,), 50, 70),
    ((2100,), 12, 129),
    ((40,), 2500, 20),
    ((30,), 20, 2100),
    ((1040,), 9, 1300),
    ((3, 20), 10, 18),
    ((2, 9, 30), 33, 17),
    ((0,), 3, 4),
    ((5,), 0, 4),
    ((5,), 4, 0),
    ((0, 5), 4, 3),
]


def matrices(leading: tuple[int, ...], rows: int, columns: int) -> list[np.ndarray]:
    random = np.random.default_rng([*leading, rows, columns])
    return [random.standard_normal((*leading, last), np.float32) for last in (rows, columns)]


@pytest.mark.parametrize(("leading", "rows", "columns"), SHAPES)
def test_it_is_the_product(leading: tuple[int, ...], rows: int, columns: int) -> None:
    a, b = matrices(leading, rows, columns)
    (found,) = run("TransposedProduct", [a, b], ["c"], 2)
    wanted = np.swapaxes(a, -1, -2).astype(np.float64) @ b.astype(np.float64)
    assert found.shape == wanted.shape
    sizes = np.swapaxes(np.abs(a), -1, -2) @ np.abs(b)
    np.testing.assert_array_less(np.abs(found - wanted), 1e-6 * sizes + 1e-30)


@pytest.mark.parametrize(("leading", "rows", "columns"), [((1030,), 150, 300), ((20, 40), 64, 32)])
def test_any_number_of_threads_gives_the_same_bits(
    leading: tuple[int, ...], rows: int, columns: int
) -> None:
    given = matrices(leading, rows, columns)
    (one,) = run("TransposedProduct", given, ["c"], 1)
    (three,) = run("TransposedProduct", given, ["c"], 3)
    assert one.tobytes() == three.tobytes()


def test_what_is_no_number_stays_where_it_belongs() -> None:
    a, b = matrices((50,), 20, 40)
    a[7, 3] = np.nan
    (found,) = run("TransposedProduct", [a, b], ["c"])
    assert np.isnan(found[3]).all() and np.isfinite(np.delete(found, 3, axis=0)).all()


@pytest.mark.parametrize(
    ("a", "b"), [((5, 3), (4, 3)), ((2, 5, 3), (5, 3)), ((2, 5, 3), (3, 5, 3)), ((5,), (5,))]
)
def test_shapes_that_do_not_fit_are_refused(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    arrays = [np.zeros(shape, np.float32) for shape in (a, b)]
    with pytest.raises(Exception, match="all their axes but the last must be the same"):
        run("TransposedProduct", arrays, ["c"])
