"""What is taken where a derivative is not defined, or is 0: as PyTorch has it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from case import Case, case, fixed, given

INFINITE = float("inf")

# An operator at its kinks, and the gradient of the sum of its output by its first input.
KINKS: dict[str, tuple[Case, list[float]]] = {
    "Abs": (case("Abs", given([-1.0, 0, 1])), [-1, 0, 1]),
    "Acos": (case("Acos", given([1.0])), [-INFINITE]),
    "Celu": (case("Celu", given([0.0]), alpha=2.0), [1]),
    "Clip": (
        case("Clip", given([-2.0, -1, 0, 1, 2]), np.array(-1, np.float32), np.array(1, np.float32)),
        [0, 1, 1, 1, 0],
    ),
    "Elu": (case("Elu", given([0.0]), alpha=0.5), [0.5]),
    "HardSigmoid": (case("HardSigmoid", given([-2.5, 0, 2.5])), [0, 0.2, 0]),
    "HardSwish": (case("HardSwish", given([-3.0, 3, 4])), [0, 1, 1]),
    "LeakyRelu": (case("LeakyRelu", given([-1.0, 0, 1]), alpha=0.1), [0.1, 0.1, 1]),
    "Max": (case("Max", given([1.0, 2, 3]), np.array([1, 3, 2], np.float32)), [0.5, 0, 1]),
    "Mod": (case("Mod", given([-3.5, 3]), np.array([2, 3], np.float32), fmod=1), [1, 1]),
    "Pow of 0": (case("Pow", given([0.0, 0, 0, 2]), np.array([0, 1, 2, 0], np.float32)), [0, 1, 0, 0]),
    "PRelu": (case("PRelu", given([-1.0, 0, 1]), np.array([0.3], np.float32)), [0.3, 0.3, 1]),
    "ReduceL1": (case("ReduceL1", given([0.0, -2])), [0, -1]),
    "ReduceL2": (case("ReduceL2", given([0.0, 0])), [0, 0]),
    "ReduceMax": (case("ReduceMax", given([1.0, 3, 3, 2])), [0, 0.5, 0.5, 0]),
    "ReduceProd": (case("ReduceProd", given([2.0, 0, 3])), [0, 6, 0]),
    "ReduceProd of two zeros": (case("ReduceProd", given([0.0, 0, 3])), [0, 0, 0]),
    "Relu": (case("Relu", given([-1.0, 0, 1])), [0, 0, 1]),
    "ScatterElements max": (
        case("ScatterElements", given([1.0, 2, 3]), fixed(0, 0, 1), np.array([1, 1, 5], np.float32),
             reduction="max"),
        [1 / 3, 0, 1],
    ),
    "Selu": (case("Selu", given([0.0]), alpha=2.0, gamma=0.5), [1]),
    "Shrink": (case("Shrink", given([-0.5, 0, 0.5, 1])), [0, 0, 0, 1]),
    "Softsign": (case("Softsign", given([0.0])), [1]),
    "Sqrt": (case("Sqrt", given([0.0])), [INFINITE]),
    "ThresholdedRelu": (case("ThresholdedRelu", given([0.5, 1, 2])), [0, 0, 1]),
}  # fmt: skip


@pytest.mark.parametrize("name", KINKS)
def test_the_gradient_at_a_kink(name: str) -> None:
    setting, expected = KINKS[name]
    summed = dataclasses.replace(setting, ones=True)
    np.testing.assert_allclose(summed.gradients["x0"], expected, rtol=1e-6)


def test_the_first_of_several_maxima_of_a_window_has_the_gradient() -> None:
    pool = case("MaxPool", given([[[2.0, 2, 1, 2]]]), kernel_shape=[2], strides=[2])
    np.testing.assert_array_equal(
        dataclasses.replace(pool, ones=True).gradients["x0"], [[[1, 0, 0, 1]]]
    )
