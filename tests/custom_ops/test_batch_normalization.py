"""BatchNormalizationTraining and BatchNormalizationGradient of ai.svgd, against float64."""

from __future__ import annotations

import numpy as np
import pytest
from one_node import run

EPSILON, MOMENTUM = 1e-3, 0.9
FORWARD = ("y", "new_mean", "new_variance", "mean", "inverse")
BACKWARD = ("dx", "d_scale", "d_shift")

# Rows and channels: fewer and more than are taken side by side, and whole blocks and parts of them.
SHAPES = [
    (1, 1),
    (3, 1),
    (2, 5, 7),
    (1000, 3),
    (4, 9, 9, 16),
    (700, 65),
    (2, 3, 4, 5, 64),
    (33, 300),
]


def tensors(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(len(shape) + shape[-1])
    channels = shape[-1]
    scale = random.uniform(0.5, 1.5, channels)
    return {
        "x": (3 + 2 * random.standard_normal(shape)).astype(np.float32),
        "dy": random.standard_normal(shape, np.float32),
        "scale": (scale * random.choice([-1, 1], channels)).astype(np.float32),
        "shift": random.standard_normal(channels, np.float32),
        "running_mean": random.standard_normal(channels, np.float32),
        "running_variance": random.uniform(0.5, 1, channels).astype(np.float32),
    }


def forward(t: dict[str, np.ndarray], relu: int, threads: int = 1) -> list[np.ndarray]:
    names = ("x", "scale", "shift", "running_mean", "running_variance")
    return run(
        "BatchNormalizationTraining",
        [t[name] for name in names],
        FORWARD,
        threads,
        epsilon=EPSILON,
        momentum=MOMENTUM,
        relu=relu,
    )


def backward(t: dict[str, np.ndarray], relu: int, threads: int = 1) -> list[np.ndarray]:
    mean, inverse = forward(t, relu)[3:]
    shift = [t["shift"]] if relu else []
    inputs = [t["dy"], t["x"], t["scale"], mean, inverse, *shift]
    return run("BatchNormalizationGradient", inputs, BACKWARD, threads, relu=relu)


def rows(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1, array.shape[-1]).astype(np.float64)


@pytest.mark.parametrize("relu", [0, 1])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_normalization_is_that_of_float64(shape: tuple[int, ...], relu: int) -> None:
    t = tensors(shape)
    y, new_mean, new_variance, mean, inverse = forward(t, relu)
    x = rows(t["x"])
    wanted_mean, variance = x.mean(0), x.var(0)
    wanted = (x - wanted_mean) / np.sqrt(variance + EPSILON) * t["scale"] + t["shift"]
    wanted = np.maximum(wanted, 0) if relu else wanted
    np.testing.assert_allclose(rows(y), wanted, rtol=1e-5, atol=1e-5 if len(x) > 1 else 1e-4)
    np.testing.assert_allclose(mean, wanted_mean, rtol=1e-6)
    np.testing.assert_allclose(inverse, 1 / np.sqrt(variance + EPSILON), rtol=1e-5)
    kept = MOMENTUM * t["running_mean"] + (1 - MOMENTUM) * wanted_mean
    np.testing.assert_allclose(new_mean, kept, rtol=1e-5, atol=1e-6)
    kept = MOMENTUM * t["running_variance"] + (1 - MOMENTUM) * variance
    np.testing.assert_allclose(new_variance, kept, rtol=1e-5)


@pytest.mark.parametrize("relu", [0, 1])
@pytest.mark.parametrize("shape", SHAPES[2:])
def test_the_gradient_is_that_of_float64(shape: tuple[int, ...], relu: int) -> None:
    t = tensors(shape)
    dx, d_scale, d_shift = backward(t, relu)
    x, dy = rows(t["x"]), rows(t["dy"])
    inverse = 1 / np.sqrt(x.var(0) + EPSILON)
    normal = (x - x.mean(0)) * inverse
    # in float32 where it decides: a number beside 0 may fall to either side
    gradient = dy * (rows(forward(t, 1)[0]) > 0) if relu else dy
    wanted = (
        t["scale"] * inverse * (gradient - gradient.mean(0) - normal * (gradient * normal).mean(0))
    )
    size = np.abs(wanted).max()
    np.testing.assert_allclose(rows(dx), wanted, rtol=1e-4, atol=2e-6 * size)
    spread = np.sqrt(len(x))
    np.testing.assert_allclose(d_shift, gradient.sum(0), rtol=1e-5, atol=1e-6 * spread)
    np.testing.assert_allclose(d_scale, (gradient * normal).sum(0), rtol=1e-5, atol=2e-6 * spread)


@pytest.mark.parametrize("shape", SHAPES[2:])
def test_what_is_added_before_the_relu_gets_its_gradient(shape: tuple[int, ...]) -> None:
    t = tensors(shape)
    other = np.random.default_rng(7).standard_normal(shape, np.float32)
    names = ("x", "scale", "shift", "running_mean", "running_variance")
    settings = {"epsilon": EPSILON, "momentum": MOMENTUM, "relu": 1}
    arrays = [*(t[name] for name in names), other]
    y, *_, mean, inverse = run("BatchNormalizationTraining", arrays, FORWARD, 2, **settings)
    alone = forward(t, 0)[0].astype(np.float64)
    np.testing.assert_allclose(y, np.maximum(alone + other, 0), rtol=1e-5, atol=1e-5)
    arrays = [t["dy"], t["x"], t["scale"], mean, inverse, t["shift"], y]
    outputs = (*BACKWARD, "d_other")
    *found, d_other = run("BatchNormalizationGradient", arrays, outputs, 2, relu=1)
    np.testing.assert_array_equal(d_other, np.where(y > 0, t["dy"], 0))
    for one, wanted in zip(found, backward({**t, "dy": d_other}, 0)):
        np.testing.assert_array_equal(one, wanted)


@pytest.mark.parametrize("shape", [(50, 40, 16), (5000, 70)])
def test_the_bits_are_the_same_on_any_number_of_threads(shape: tuple[int, ...]) -> None:
    t = tensors(shape)
    runs = [[*forward(t, 1, threads), *backward(t, 1, threads)] for threads in (1, 2, 3)]
    for other in runs[1:]:
        assert [array.tobytes() for array in other] == [array.tobytes() for array in runs[0]]


def test_a_mean_far_from_zero_costs_the_variance_nothing() -> None:
    t = tensors((4096, 8))
    t["x"] += np.float32(1e4)
    inverse = forward(t, 0)[4]
    np.testing.assert_allclose(inverse, 1 / np.sqrt(rows(t["x"]).var(0) + EPSILON), rtol=1e-5)


def test_nan_stays_nan_behind_the_relu() -> None:
    t = tensors((4, 6, 3))
    t["x"][0, 0, 1] = np.nan
    y = forward(t, 1)[0]
    assert np.isnan(y[..., 1]).all() and np.isfinite(y[..., [0, 2]]).all()


def test_statistics_of_another_number_of_channels_are_refused() -> None:
    t = tensors((4, 6, 3))
    t["scale"] = t["scale"][:2]
    with pytest.raises(Exception, match="input 1 has shape"):
        forward(t, 0)
