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
