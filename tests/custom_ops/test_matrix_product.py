"""MatrixProduct against NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
from one_node import run

# Leading axes, M, K, N: fewer and more than a tile, a task and what is packed at once; several products.
SHAPES = [
    ((), 1, 1, 1),
    ((), 2, 3, 5),
    ((), 6, 8, 16),
    ((), 7, 300, 33),
    ((), 145, 257, 130),
    ((), 50, 1030, 70),
    ((), 12, 2100, 129),
    ((), 2500, 40, 20),
    ((), 20, 30, 2100),
    ((), 9, 1040, 1300),
    ((), 8001, 129, 7),
    ((3,), 10, 20, 18),
    ((2, 9), 33, 30, 17),
    ((), 3, 0, 4),
    ((), 0, 5, 4),
    ((), 4, 5, 0),
    ((0,), 4, 5, 3),
]
FORMS = [(0, 0), (0, 1), (1, 0), (1, 1)]


def matrix(leading: tuple[int, ...], rows: int, columns: int, transposed: int) -> np.ndarray:
    random = np.random.default_rng([*leading, rows, columns])
    shape = (columns, rows) if transposed else (rows, columns)
    return random.standard_normal((*leading, *shape), np.float32)


def assert_is_product(found: np.ndarray, a: np.ndarray, b: np.ndarray, bias: np.ndarray) -> None:
    wanted = a.astype(np.float64) @ b.astype(np.float64) + bias
    assert found.shape == wanted.shape
    sizes = np.abs(a) @ np.abs(b) + np.abs(bias)
    np.testing.assert_array_less(np.abs(found - wanted), 1e-6 * sizes + 1e-30)


def plain(array: np.ndarray, transposed: int) -> np.ndarray:
    return np.swapaxes(array, -1, -2) if transposed else array


@pytest.mark.parametrize(("trans_a", "trans_b"), FORMS)
@pytest.mark.parametrize(("leading", "rows", "depth", "columns"), SHAPES)
def test_it_is_the_product(
    leading: tuple[int, ...], rows: int, depth: int, columns: int, trans_a: int, trans_b: int
) -> None:
    a, b = matrix(leading, rows, depth, trans_a), matrix(leading, depth, columns, trans_b)
    (found,) = run("MatrixProduct", [a, b], ["c"], 2, transA=trans_a, transB=trans_b)
    assert_is_product(found, plain(a, trans_a), plain(b, trans_b), np.zeros(columns))


@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("leading", [(), (5,), (2, 3), (0,)])
def test_one_matrix_multiplies_all_rows(leading: tuple[int, ...], trans_b: int) -> None:
    a, b = matrix(leading, 7, 40, 0), matrix((), 40, 50, trans_b)
    bias = np.linspace(-1, 1, 50, dtype=np.float32)
    (found,) = run("MatrixProduct", [a, b, bias], ["c"], 2, transB=trans_b)
    assert_is_product(found, a, plain(b, trans_b), bias)


@pytest.mark.parametrize("depth", [0, 1, 900])
@pytest.mark.parametrize("leading", [(), (20,)])
def test_a_bias_is_added_once(leading: tuple[int, ...], depth: int) -> None:
    a, b = matrix(leading, 14, depth, 0), matrix(leading, depth, 35, 0)
    bias = np.arange(35, dtype=np.float32)
    (found,) = run("MatrixProduct", [a, b, bias], ["c"], 2)
    assert_is_product(found, a, b, bias)


@pytest.mark.parametrize(("trans_a", "trans_b"), FORMS)
@pytest.mark.parametrize(
    ("leading", "rows", "depth", "columns"), [((), 150, 1030, 300), ((20,), 64, 40, 32)]
)
def test_any_number_of_threads_gives_the_same_bits(
    leading: tuple[int, ...], rows: int, depth: int, columns: int, trans_a: int, trans_b: int
) -> None:
    given = [matrix(leading, rows, depth, trans_a), matrix(leading, depth, columns, trans_b)]
    (one,) = run("MatrixProduct", given, ["c"], 1, transA=trans_a, transB=trans_b)
    (three,) = run("MatrixProduct", given, ["c"], 3, transA=trans_a, transB=trans_b)
    assert one.tobytes() == three.tobytes()


@pytest.mark.parametrize(("trans_a", "trans_b"), FORMS)
def test_what_is_no_number_stays_where_it_belongs(trans_a: int, trans_b: int) -> None:
    a, b = matrix((), 20, 50, trans_a), matrix((), 50, 40, trans_b)
    plain(a, trans_a)[3, 7] = np.nan
    (found,) = run("MatrixProduct", [a, b], ["c"], transA=trans_a, transB=trans_b)
    assert np.isnan(found[3]).all() and np.isfinite(np.delete(found, 3, axis=0)).all()


def test_what_older_folders_have_is_the_product_of_a_transposed_matrix() -> None:
    a, b = matrix((), 30, 70, 1), matrix((), 70, 40, 0)
    (found,) = run("TransposedProduct", [a, b], ["c"], 2)
    assert_is_product(found, a.T, b, np.zeros(40))


@pytest.mark.parametrize(
    ("a", "b", "trans_a"),
    [
        ((5, 3), (4, 3), 1),
        ((2, 5, 3), (5, 3), 1),
        ((2, 5, 3), (3, 5, 3), 1),
        ((5,), (5,), 0),
        ((2, 3), (2, 3, 4), 0),
        ((2, 3), (2, 4), 0),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    a: tuple[int, ...], b: tuple[int, ...], trans_a: int
) -> None:
    arrays = [np.zeros(shape, np.float32) for shape in (a, b)]
    with pytest.raises(Exception, match="these are no factors of a product"):
        run("MatrixProduct", arrays, ["c"], transA=trans_a)


def test_a_bias_of_another_length_is_refused() -> None:
    arrays = [np.zeros(shape, np.float32) for shape in ((2, 3), (3, 4), (3,))]
    with pytest.raises(Exception, match=r"the bias has shape \(3\), but there are 4 columns"):
        run("MatrixProduct", arrays, ["c"])
