"""MaxPoolWithPlaces and MaxPoolGradient of ai.svgd, against a loop over windows."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from one_node import run

# The shape of X, and the window: kernel, strides, pads, dilations.
CASES: dict[str, tuple[tuple[int, ...], dict[str, list[int]]]] = {
    "overlapping": ((3, 9, 8, 5), {"kernel_shape": [3, 3], "strides": [2, 2]}),
    "padded": ((2, 7, 7, 70), {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 1, 2]}),
    "apart": ((2, 8, 8, 16), {"kernel_shape": [2, 2], "strides": [3, 3]}),
    "dilated": ((1, 9, 9, 3), {"kernel_shape": [2, 3], "dilations": [3, 2]}),
    "rows": ((4, 17, 33), {"kernel_shape": [3], "pads": [1, 1]}),
    "volumes": ((2, 5, 4, 6, 7), {"kernel_shape": [2, 2, 3], "strides": [2, 1, 2]}),
    "beyond the image": ((1, 1, 2), {"kernel_shape": [2], "dilations": [2], "pads": [1, 1]}),
    "on several threads": ((2, 16, 16, 33), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
}


def whole(window: dict[str, list[int]]) -> dict[str, Any]:
    axes = len(window["kernel_shape"])
    return {"strides": [1] * axes, "dilations": [1] * axes, "pads": [0] * 2 * axes, **window}


def reference(
    x: np.ndarray, dy: np.ndarray | None, window: dict[str, list[int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Y and, for dY, dX; the first of equal numbers of a window is the largest."""
    kernel, strides, pads = window["kernel_shape"], window["strides"], window["pads"]
    axes = len(kernel)
    sizes = [
        (x.shape[1 + i] + pads[i] + pads[axes + i] - window["dilations"][i] * (kernel[i] - 1) - 1)
        // strides[i]
        + 1
        for i in range(axes)
    ]
    y = np.full((len(x), *sizes, x.shape[-1]), np.finfo(np.float32).min, np.float64)
    dx = np.zeros(x.shape, np.float64)
    for place in itertools.product(*map(range, sizes)):
        best: dict[tuple[int, int], tuple[int, ...]] = {}
        for element in itertools.product(*map(range, kernel)):
            at = tuple(
                p * s + e * d - pad
                for p, s, e, d, pad in zip(place, strides, element, window["dilations"], pads)
            )
            if not all(0 <= i < size for i, size in zip(at, x.shape[1:])):
                continue
            for n, c in np.ndindex(len(x), x.shape[-1]):
                if x[(n, *at, c)] > y[(n, *place, c)]:
                    y[(n, *place, c)] = x[(n, *at, c)]
                    best[n, c] = at
        if dy is not None:
            for (n, c), at in best.items():
                dx[(n, *at, c)] += dy[(n, *place, c)]
    return y, dx


@pytest.mark.parametrize("case", CASES)
def test_maxima_and_their_gradients_are_where_they_belong(case: str) -> None:
    shape, window = CASES[case]
    random = np.random.default_rng(0)
    x = random.integers(-6, 6, shape).astype(np.float32)  # with equal numbers in a window
    y, places = run("MaxPoolWithPlaces", [x], {"y": 1, "places": 2}, 2, **whole(window))
    dy = random.standard_normal(y.shape, np.float32)
    sizes = np.array(shape, np.int64)
    (dx,) = run("MaxPoolGradient", [dy, places, sizes], ["dx"], 2, **whole(window))
    wanted, wanted_dx = reference(x, dy, whole(window))
    np.testing.assert_array_equal(y, wanted)
    np.testing.assert_allclose(dx, wanted_dx, rtol=1e-5, atol=1e-5)


def test_a_window_that_is_too_large_is_refused() -> None:
    with pytest.raises(Exception, match="its window is none that it takes"):
        run(
            "MaxPoolWithPlaces",
            [np.zeros((1, 20, 20, 1), np.float32)],
            {"y": 1, "places": 2},
            **whole({"kernel_shape": [16, 16]}),
        )


def test_places_of_another_image_are_refused() -> None:
    y = np.zeros((1, 4, 2), np.float32)
    with pytest.raises(Exception, match="input 0 has shape"):
        run(
            "MaxPoolGradient",
            [y, y.astype(np.uint8), np.array([1, 11, 2])],
            ["dx"],
            **whole({"kernel_shape": [2], "strides": [2]}),
        )
