"""ReluGradient of ai.svgd."""

from __future__ import annotations

import numpy as np
import pytest
from one_node import run


@pytest.mark.parametrize("shape", [(3,), (2, 5, 7), (4, 33, 31, 17)])
def test_it_is_dy_where_the_output_is_positive(shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    dy = random.standard_normal(shape, np.float32)
    y = np.maximum(random.standard_normal(shape, np.float32), 0)
    (dx,) = run("ReluGradient", [dy, y], ["dx"], 2)
    np.testing.assert_array_equal(dx, np.where(y > 0, dy, 0))


def test_an_output_of_another_shape_is_refused() -> None:
    with pytest.raises(Exception, match="Y has shape"):
        run("ReluGradient", [np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32)], ["dx"])
