"""AddRows of ai.svgd against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from one_node import run

# X, and the shape of the indices: fewer and more columns than a task has, no rows, none to add, vectors.
SHAPES = [
    ((4, 3), (5,)),
    ((7, 129), (2, 3)),
    ((50, 300), (40,)),
    ((9, 4, 50), (11,)),
    ((6,), (4,)),
    ((5, 3), ()),
    ((5, 3), (0,)),
    ((5, 0), (2,)),
]


def arrays(shape: tuple[int, ...], indices: tuple[int, ...]) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [
        random.standard_normal(shape).astype(np.float32),
        np.asarray(random.integers(-shape[0], shape[0], indices)),
        random.standard_normal((*indices, *shape[1:])).astype(np.float32),
    ]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("shape", "indices"), SHAPES)
def test_each_update_is_added_to_its_row(
    shape: tuple[int, ...], indices: tuple[int, ...], threads: int
) -> None:
    x, rows, updates = arrays(shape, indices)
    wanted = x.astype(np.float64)
    np.add.at(wanted, rows, updates.astype(np.float64))
    (found,) = run("AddRows", [x, rows, updates], ["y"], threads)
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)


def test_threads_do_not_change_bits() -> None:
    given = arrays((3, 4000), (500,))
    (one,), (two,) = (run("AddRows", given, ["y"], threads) for threads in (1, 2))
    assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("row", [4, -5, np.iinfo(np.int64).max, np.iinfo(np.int64).min])
def test_an_index_of_no_row_is_refused(row: int) -> None:
    x, rows, updates = arrays((4, 3), (5,))
    rows[2] = row
    with pytest.raises(Exception, match="is not of one of 4 rows"):
        run("AddRows", [x, rows, updates], ["y"])


@pytest.mark.parametrize(
    ("x", "indices", "updates", "said"),
    [
        ((), (2,), (2,), "X has no axes"),
        ((4, 3), (2,), (2, 4), "the updates have shape"),
        ((4, 3), (2,), (6,), "the updates have shape"),
    ],
)
def test_what_does_not_fit_is_refused(
    x: tuple[int, ...], indices: tuple[int, ...], updates: tuple[int, ...], said: str
) -> None:
    given = [np.ones(x, np.float32), np.zeros(indices, np.int64), np.ones(updates, np.float32)]
    with pytest.raises(Exception, match=said):
        run("AddRows", given, ["y"])
