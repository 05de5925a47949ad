"""What T gives beside T(dY) where it is asked for: the size of the new r, and dY summed over its rows."""

from __future__ import annotations

import numpy as np
import pytest
from one_node import run

OUTPUTS = ("out", "r_new", "size", "sums")
SHAPES = [
    (4, 3),
    (32, 64, 128),
    (130, 7, 5),
    (5, 1111),
    (3000, 2, 3),
    (1025, 300),
    (0, 3),
    (2, 0, 3),
]


def tensors(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.standard_normal(shape, np.float32), random.uniform(0, 1, shape[1:]).astype("f4")


def sums_of_rows(dy: np.ndarray) -> np.ndarray:
    rows = dy.reshape(-1, dy.shape[-1]) if dy.size else np.zeros((0, dy.shape[-1]))
    return rows.astype(np.float64).sum(0)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("op_type", ["VirtualGradient", "GradientFactor"])
@pytest.mark.parametrize("shape", SHAPES)
def test_both_are_those_of_float64(shape: tuple[int, ...], op_type: str, threads: int) -> None:
    dy, r = tensors(shape)
    alone = run(op_type, [dy, r], OUTPUTS[:2], threads)
    out, r_new, size, sums = run(op_type, [dy, r], OUTPUTS, threads)
    np.testing.assert_array_equal(out, alone[0])
    np.testing.assert_array_equal(r_new, alone[1])
    np.testing.assert_allclose(size, np.abs(r_new.astype(np.float64)).sum(), rtol=1e-6)
    np.testing.assert_allclose(sums, sums_of_rows(dy), rtol=0, atol=1e-6 * max(dy.size, 1) ** 0.5)


@pytest.mark.parametrize("shape", [(3000, 2, 3), (32, 64, 128), (1025, 300)])
def test_the_number_of_threads_does_not_change_a_bit(shape: tuple[int, ...]) -> None:
    given = [*tensors(shape)]
    for one, two in zip(*(run("VirtualGradient", given, OUTPUTS, threads) for threads in (1, 2))):
        np.testing.assert_array_equal(one, two)


def test_of_channels_last_the_last_axis_is_the_one_that_is_left() -> None:
    dy, r = tensors((6, 5, 4, 3))
    r = np.ascontiguousarray(np.moveaxis(r, -1, 0))
    *_, size, sums = run("GradientFactor", [dy, r], OUTPUTS, channels_last=1)
    _, r_new = run("GradientFactor", [dy, r], OUTPUTS[:2], channels_last=1)
    np.testing.assert_allclose(size, r_new.sum(dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(sums, sums_of_rows(dy), rtol=0, atol=1e-5)


def test_of_an_r_of_channels_too_where_they_come_last() -> None:
    dy, _ = tensors((6, 5, 3))
    *_, sums = run("VirtualGradient", [dy, np.ones(3, np.float32)], OUTPUTS, channel_axis=2)
    np.testing.assert_allclose(sums, sums_of_rows(dy), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape, attributes", [((6, 5, 3), {"channel_axis": 1}), ((6,), {})])
def test_sums_that_do_not_come_with_r_are_refused(
    shape: tuple[int, ...], attributes: dict[str, int]
) -> None:
    dy, _ = tensors(shape)
    r = np.ones(shape[1:2], np.float32) if attributes else np.array(1, np.float32)
    with pytest.raises(Exception, match="r is not of its last axis"):
        run("VirtualGradient", [dy, r], OUTPUTS, **attributes)


@pytest.mark.parametrize("odd", [np.nan, np.inf])
@pytest.mark.parametrize("shape", [(4, 3), (32, 64, 128)])
def test_the_size_tells_of_one_odd_number_of_dy_or_r(shape: tuple[int, ...], odd: float) -> None:
    dy, r = tensors(shape)
    for given in (dy, r):
        before, given.flat[-1] = given.flat[-1], odd
        assert not np.isfinite(run("VirtualGradient", [dy, r], OUTPUTS[:3])[2])
        given.flat[-1] = before
    assert np.isfinite(run("VirtualGradient", [dy, r], OUTPUTS[:3])[2])


def test_a_square_beyond_float32_makes_the_size_infinite() -> None:
    dy, r = tensors((4, 3))
    dy[2, 1] = 1e20
    assert np.isinf(run("GradientFactor", [dy, r], OUTPUTS[:3])[2])


def test_in_double_precision_both_keep_their_digits() -> None:
    dy, r = (each.astype(np.float64) for each in tensors((40, 501)))
    types = dict.fromkeys(OUTPUTS, 11)
    _, r_new, size, sums = run("VirtualGradient", [dy, r], types)
    np.testing.assert_allclose(size, r_new.sum(), rtol=1e-14)
    np.testing.assert_allclose(sums, dy.sum(0), rtol=0, atol=1e-13)
