"""AdaptiveDescent of ai.svgd: AdamW's and RMSProp's updates against NumPy in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from one_node import run

BETA_1, BETA_2, STABILITY, RATE = 0.9, 0.999, 1e-8, 0.01
ADAM = {
    "beta_1": BETA_1,
    "rest_1": 1 - BETA_1,
    "beta_2": BETA_2,
    "rest_2": 1 - BETA_2,
    "stability": STABILITY,
}
SHAPES = [(), (3,), (0, 4), (5, 7), (130, 257)]


def given(shape: tuple[int, ...]) -> list[np.ndarray]:
    """A parameter, the rate, its gradient, second and first moments."""
    random = np.random.default_rng(0)
    parameter, gradient, first = (
        np.asarray(random.standard_normal(shape), np.float32) for _ in range(3)
    )
    second = np.asarray(random.random(shape), np.float32)
    return [parameter, np.array(RATE, np.float32), gradient, second, first]


def of_adam(arrays: list[np.ndarray], step: int, decay: float) -> list[np.ndarray]:
    """As Loshchilov and Hutter have it, arXiv 1711.05101."""
    parameter, _, gradient, second, first = (array.astype(np.float64) for array in arrays)
    first = BETA_1 * first + (1 - BETA_1) * gradient
    second = BETA_2 * second + (1 - BETA_2) * gradient**2
    root = np.sqrt(second / (1 - BETA_2**step)) + STABILITY
    direction = first / (1 - BETA_1**step) / root + decay * parameter
    return [parameter - RATE * direction, (gradient**2).sum(), second, first]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("step", "decay"), [(1, 0.0), (7, 0.0), (1000, 0.1)])
@pytest.mark.parametrize("shape", SHAPES)
def test_adam(shape: tuple[int, ...], step: int, decay: float, threads: int) -> None:
    arrays = given(shape)
    inputs = [*arrays, np.array(step, np.float32)]
    names = ["w", "size", "v", "m"]
    found = run("AdaptiveDescent", inputs, names, threads, **ADAM, weight_decay=decay)
    for name, array, wanted in zip(names, found, of_adam(arrays, step, decay)):
        # 1 - 0.999^step in float32
        np.testing.assert_allclose(array, wanted, rtol=1e-4, atol=2e-6, err_msg=name)


@pytest.mark.parametrize("shape", SHAPES)
def test_rmsprop(shape: tuple[int, ...]) -> None:
    parameter, rate, gradient, second, _ = given(shape)
    settings: dict[str, Any] = {"beta_2": 0.9, "rest_2": 0.1, "stability": STABILITY}
    new, size, after = run(
        "AdaptiveDescent", [parameter, rate, gradient, second], ["w", "size", "v"], 2, **settings
    )
    wide = gradient.astype(np.float64)
    wanted = 0.9 * second + 0.1 * wide**2
    np.testing.assert_allclose(after, wanted, rtol=1e-6)
    change = RATE * wide / (np.sqrt(wanted) + STABILITY)
    np.testing.assert_allclose(new, parameter - change, rtol=1e-5, atol=1e-7)
    assert size == pytest.approx((wide**2).sum(), rel=1e-5)


@pytest.mark.parametrize(
    "spoiled", [np.nan, np.inf, -np.inf, 1e20]
)  # of which a moment is infinite
@pytest.mark.parametrize("place", [0, 20_000, 33_409])
def test_the_size_is_not_finite_where_one_square_of_the_gradient_is_not(
    spoiled: float, place: int
) -> None:
    arrays = given((130, 257))
    arrays[2].reshape(-1)[place] = spoiled
    inputs = [*arrays, np.array(1, np.float32)]
    _, size, _, _ = run("AdaptiveDescent", inputs, ["w", "size", "v", "m"], 2, **ADAM)
    assert not np.isfinite(size)


def test_threads_do_not_change_bits() -> None:
    inputs = [*given((700, 257)), np.array(3, np.float32)]
    one, two = (
        run("AdaptiveDescent", inputs, ["w", "size", "v", "m"], threads, **ADAM)
        for threads in (1, 2)
    )
    assert [array.tobytes() for array in one] == [array.tobytes() for array in two]


@pytest.mark.parametrize(
    ("place", "shape", "said"),
    [
        (1, (2,), "the rate is not one number"),
        (2, (3,), "the gradient has shape"),
        (3, (5,), "the second moment has shape"),
        (4, (4, 1), "the first moment has shape"),
        (5, (2,), "the number of the step is not one number"),
    ],
)
def test_what_does_not_fit_is_refused(place: int, shape: tuple[int, ...], said: str) -> None:
    inputs = [*given((4,)), np.array(1, np.float32)]
    inputs[place] = np.ones(shape, np.float32)
    with pytest.raises(Exception, match=said):
        run("AdaptiveDescent", inputs, ["w", "size", "v", "m"], **ADAM)


def test_first_moments_without_the_number_of_the_step_are_refused() -> None:
    with pytest.raises(Exception, match="no number of the step"):
        run("AdaptiveDescent", given((4,)), ["w", "size", "v", "m"], **ADAM)


OVER = {"w": 0, "v": 3, "m": 4}


@pytest.mark.parametrize("shape", SHAPES)
def test_it_may_write_where_everything_lies(shape: tuple[int, ...]) -> None:
    arrays = [*given(shape), np.array(3, np.float32), np.array(7, np.float32)]
    apart, over = (
        run("AdaptiveDescent", arrays, ["w", "size", "v", "m"], 2, places, **ADAM)
        for places in (None, OVER)
    )
    for one, other in zip(apart, over):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("over", [None, OVER])
@pytest.mark.parametrize("guard", [np.nan, np.inf])
def test_nothing_changes_where_the_guard_is_not_finite(
    guard: float, over: dict[str, int] | None
) -> None:
    arrays = [*given((130, 257)), np.array(3, np.float32), np.array(guard, np.float32)]
    w, _, v, m = run("AdaptiveDescent", arrays, ["w", "size", "v", "m"], 2, over, **ADAM)
    for found, place in ((w, 0), (v, 3), (m, 4)):
        np.testing.assert_array_equal(found, arrays[place])


def test_a_rule_without_first_moments_has_a_guard_too() -> None:
    parameter, rate, gradient, second, _ = given((5, 7))
    inputs = [parameter, rate, gradient, second, np.array(np.nan, np.float32)]
    settings: dict[str, Any] = {"beta_2": 0.9, "rest_2": 0.1, "stability": STABILITY}
    w, _, v = run("AdaptiveDescent", inputs, ["w", "size", "v"], **settings)
    np.testing.assert_array_equal(w, parameter)
    np.testing.assert_array_equal(v, second)
