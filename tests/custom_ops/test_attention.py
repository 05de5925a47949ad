"""ScaledDotProductAttention and its gradient against NumPy in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from one_node import run

SCALE = 0.3
FORWARD, BACKWARD = ["o", "greatest", "inverse"], ["dq", "dk", "dv"]

# Leading axes, N, D, M, E: fewer and more than a tile, and than a block of queries; a usual head.
SHAPES = [
    ((), 1, 1, 1, 1),
    ((3,), 5, 2, 3, 4),
    ((2, 2), 33, 9, 17, 40),
    ((1, 2), 128, 64, 128, 64),
    ((2,), 70, 8, 700, 5),
    ((2,), 4, 300, 65, 7),
    ((2,), 3, 4, 1, 2),
    ((2,), 0, 4, 3, 2),
    ((2,), 3, 4, 0, 2),
    ((2,), 3, 0, 4, 2),
    ((0,), 3, 4, 5, 2),
]


def arrays_of(
    leading: tuple[int, ...], queries: int, width: int, keys: int, values: int
) -> list[np.ndarray]:
    """Q, K, V and the outputs' gradient."""
    random = np.random.default_rng([*leading, queries, width, keys, values])
    shapes = [(queries, width), (width, keys), (keys, values), (queries, values)]
    return [random.standard_normal((*leading, *shape), np.float32) for shape in shapes]


def ours(
    arrays: list[np.ndarray], mask: np.ndarray | None = None, threads: int = 2, **options: Any
) -> list[np.ndarray]:
    """The outputs, and the gradients of Q, K and V."""
    *factors, d_out = arrays
    masks = [] if mask is None else [mask]
    out, *kept = run(
        "ScaledDotProductAttention", [*factors, *masks], FORWARD, threads, scale=SCALE, **options
    )
    given = [d_out, *factors, *kept, *masks]
    gradient = "ScaledDotProductAttentionGradient"
    return [out, *run(gradient, given, BACKWARD, threads, scale=SCALE)]


def exact(
    arrays: list[np.ndarray], mask: np.ndarray | None = None, *, nan_as_zero: bool = False
) -> list[np.ndarray]:
    """The same, from the definition and the chain rule."""
    q, k, v, d_out = (each.astype(np.float64) for each in arrays)
    with np.errstate(invalid="ignore"):
        scores = SCALE * (q @ k) + (0 if mask is None else mask.astype(np.float64))
        powers = np.exp(scores - scores.max(-1, keepdims=True, initial=-np.inf))
        p = powers / powers.sum(-1, keepdims=True)
    if nan_as_zero:
        p = np.nan_to_num(p, nan=0.0)
    d_p = d_out @ v.swapaxes(-1, -2)
    d_scores = SCALE * p * (d_p - (p * d_p).sum(-1, keepdims=True))
    d_k = q.swapaxes(-1, -2) @ d_scores
    return [p @ v, d_scores @ k.swapaxes(-1, -2), d_k, p.swapaxes(-1, -2) @ d_out]


def assert_same(found: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    for name, one, other in zip(["o", *BACKWARD], found, wanted):
        size = np.abs(other).max(initial=1e-30)
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=0, atol=4e-6 * size, err_msg=name)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_attention_and_its_gradient(shape: tuple[Any, ...]) -> None:
    arrays = arrays_of(*shape)
    assert_same(ours(arrays), exact(arrays))


MASKS = [(), (70,), (65, 1), (65, 70), (3, 1, 70), (2, 1, 1, 1), (2, 3, 65, 70), (1, 1, 65, 70)]


@pytest.mark.parametrize("shape", MASKS)
def test_a_mask_is_added_to_scores(shape: tuple[int, ...]) -> None:
    arrays = arrays_of((2, 3), 65, 6, 70, 5)
    mask = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    assert_same(ours(arrays, mask), exact(arrays, mask))


def causal(queries: int, keys: int) -> np.ndarray:
    return np.where(np.tri(queries, keys, dtype=bool), 0, -np.inf).astype(np.float32)


@pytest.mark.parametrize("least", [-np.inf, np.finfo(np.float32).min])
def test_keys_that_are_masked_have_no_part(least: float) -> None:
    arrays = arrays_of((2,), 40, 8, 40, 8)
    mask = np.maximum(causal(40, 40), np.float32(least))
    assert_same(ours(arrays, mask), exact(arrays, mask))


def test_scores_that_the_least_number_is_added_to_are_alike() -> None:
    arrays = arrays_of((2,), 5, 8, 7, 3)
    mask = np.full((5, 7), np.finfo(np.float32).min)
    assert_same(ours(arrays, mask), exact(arrays, mask))


def test_a_query_without_a_key_gives_nan_or_zeros() -> None:
    arrays = arrays_of((2,), 40, 8, 30, 8)
    mask = causal(40, 30)
    mask[[3, 39]] = -np.inf
    out = ours(arrays, mask)[0]
    assert np.isnan(out[:, [3, 39]]).all() and np.isfinite(np.delete(out, [3, 39], axis=1)).all()
    found = ours(arrays, mask, nan_as_zero=1)
    assert not found[0][:, [3, 39]].any() and not found[1][:, [3, 39]].any()
    assert_same(found, exact(arrays, mask, nan_as_zero=True))


def test_a_gradient_that_is_no_number_leaves_a_query_without_a_key_out() -> None:
    arrays = arrays_of((1,), 4, 8, 5, 3)
    arrays[3][0, 2] = np.inf
    mask = np.zeros((4, 5), np.float32)
    mask[2] = -np.inf
    _, d_q, d_k, _ = ours(arrays, mask, nan_as_zero=1)
    assert not d_q[0, 2].any() and np.isfinite(d_q).all() and np.isfinite(d_k).all()


@pytest.mark.parametrize("place", range(3))
def test_what_is_no_number_stays_in_its_head(place: int) -> None:
    arrays = arrays_of((3,), 20, 8, 30, 8)
    arrays[place][1, 2, 3] = np.nan
    found = ours(arrays)
    assert np.isnan(found[0][1]).any()
    assert all(np.isfinite(each[[0, 2]]).all() for each in found)


def test_any_number_of_threads_gives_the_same_bits() -> None:
    arrays = arrays_of((2, 3), 130, 16, 120, 16)
    mask = causal(130, 120)
    for one, three in zip(ours(arrays, mask, 1), ours(arrays, mask, 3)):
        assert one.tobytes() == three.tobytes()


Q, K, V = arrays_of((2,), 3, 4, 5, 6)[:3]
REFUSED = {
    "Q has shape": [Q, K[:, :3], V],
    "K": [Q, K[:1], V],
    "V": [Q, K, V[:, :4]],
    "Q has": [Q[0, 0], K[0, 0], V[0, 0]],
    "the mask has shape": [Q, K, V, np.zeros((3, 4), np.float32)],
    "does not go with": [Q, K, V, np.zeros((1, 2, 3, 5), np.float32)],
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_shapes_that_do_not_fit_are_refused(sentence: str) -> None:
    with pytest.raises(Exception, match=sentence):
        run("ScaledDotProductAttention", REFUSED[sentence], FORWARD)


@pytest.mark.parametrize("place", [0, 4, 5])
def test_what_the_gradient_takes_is_of_the_forward_pass(place: int) -> None:
    out, queries = np.zeros((2, 3, 6), np.float32), np.zeros((2, 3), np.float32)
    given = [out, Q, K, V, queries, queries]
    given[place] = given[place][:, :2]
    with pytest.raises(Exception, match=f"input {place} has shape"):
        run("ScaledDotProductAttentionGradient", given, BACKWARD)
