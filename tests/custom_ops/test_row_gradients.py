"""Gradients of LayerNormalization, Softmax, its cross-entropy, and activations, against float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from one_node import run

# Rows and numbers of a row: fewer and more than are taken side by side, and several tasks of them.
SHAPES = [
    (1, 1),
    (3, 1),
    (1, 31),
    (2, 5, 32),
    (4, 33),
    (3, 7, 100),
    (5000, 20),
    (130, 768),
    (2, 70000),
]


def random_of(shape: tuple[int, ...]) -> np.random.Generator:
    return np.random.default_rng(list(shape))


def assert_close(found: np.ndarray, wanted: np.ndarray, tolerance: float = 1e-6) -> None:
    assert found.shape == wanted.shape
    size = max(np.abs(wanted).max(initial=0), 1e-30)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * size)


def of_layer_normalization(shape: tuple[int, ...], first: int) -> list[np.ndarray]:
    random = random_of(shape)
    x = (3 + 2 * random.standard_normal(shape)).astype(np.float32)
    axes = tuple(range(first, len(shape)))
    exact = x.astype(np.float64)
    mean = exact.mean(axes, keepdims=True)
    inverse = 1 / np.sqrt(exact.var(axes, keepdims=True) + 1e-2)
    scale = random.uniform(-1.5, 1.5, shape[first:]).astype(np.float32)
    dy = random.standard_normal(shape, np.float32)
    return [dy, x, scale, mean.astype(np.float32), inverse.astype(np.float32)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("first", [-1, 1])
def test_the_gradient_of_layer_normalization(shape: tuple[int, ...], first: int) -> None:
    first %= len(shape)
    inputs = of_layer_normalization(shape, first)
    dx, d_scale, d_shift = run(
        "LayerNormalizationGradient", inputs, ["dx", "d_scale", "d_shift"], 2
    )
    dy, x, scale, mean, inverse = (each.astype(np.float64) for each in inputs)
    over, leading = tuple(range(first, len(shape))), tuple(range(first))
    n, g = (x - mean) * inverse, dy * scale
    means = [(each).mean(over, keepdims=True) for each in (g, g * n)]
    # differences of what is there: so exact as the largest of that
    np.testing.assert_allclose(
        dx, (g - means[0] - n * means[1]) * inverse, rtol=0, atol=2e-6 * np.abs(g * inverse).max()
    )
    assert_close(d_scale, (dy * n).sum(leading), 5e-6)
    assert_close(d_shift, dy.sum(leading), 5e-6)


@pytest.mark.parametrize("scale", [1.0, 0.125])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_of_softmax(shape: tuple[int, ...], scale: float) -> None:
    random = random_of(shape)
    y = np.exp(random.standard_normal(shape))
    y = (y / y.sum(-1, keepdims=True)).astype(np.float32)
    dy = random.standard_normal(shape, np.float32)
    (dx,) = run("SoftmaxGradient", [dy, y], ["dx"], 2, scale=scale)
    dy, y = dy.astype(np.float64), y.astype(np.float64)
    wanted = scale * y * (dy - (dy * y).sum(-1, keepdims=True))
    np.testing.assert_allclose(dx, wanted, rtol=0, atol=1e-6 * scale * np.abs(y * dy).max())


@pytest.mark.parametrize("options", [{"mean": 1}, {"mean": 0}, {"mean": 1, "ignored": -100}])
@pytest.mark.parametrize("shape", [(1, 2), (7, 10), (33, 1000), (3, 50257)])
def test_the_gradient_of_cross_entropy(shape: tuple[int, int], options: dict[str, int]) -> None:
    random = random_of(shape)
    logits = 5 * random.standard_normal(shape)
    log_y = (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)
    labels = random.integers(0, shape[1], shape[0])
    counts = np.ones(shape[0])
    if "ignored" in options:
        labels[0], counts[0] = options["ignored"], 0
    gradient = np.array(0.75, np.float32)
    (dx,) = run("CrossEntropyGradient", [gradient, log_y, labels], ["dx"], 2, **options)
    wanted = np.exp(log_y.astype(np.float64))
    wanted[np.arange(shape[0]), np.maximum(labels, 0)] -= 1
    wanted *= 0.75 * counts[:, None]
    assert_close(dx, wanted / max(counts.sum(), 1) if options["mean"] else wanted)


X = np.concatenate([np.linspace(-15, 15, 20_011), [0.0, -0.0, 1e-30, -1e-30, 90.0, -90.0]])
X = X.astype(np.float32)
TANH = 2 * math.sqrt(2 / math.pi)


def test_the_gradient_of_gelu() -> None:
    (dx,) = run("GeluGradient", [np.ones_like(X), X], ["dx"], 2)
    x = X.astype(np.float64)
    cumulative = np.array([math.erfc(-each / math.sqrt(2)) / 2 for each in x])
    wanted = cumulative + x * np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(dx, wanted, rtol=0, atol=5e-7)


@pytest.mark.parametrize(
    ("linear", "cubic"), [(TANH, TANH * 0.044715), (1.702, 0.0)], ids=["tanh", "quick"]
)
def test_the_gradient_of_a_logistic_unit(linear: float, cubic: float) -> None:
    (dx,) = run("LogisticUnitGradient", [np.ones_like(X), X], ["dx"], 2, linear=linear, cubic=cubic)
    x = X.astype(np.float64)
    logistic = 1 / (1 + np.exp(-np.clip(x * (linear + cubic * x**2), -700, 700)))
    slope = x * (linear + 3 * cubic * x**2)
    wanted = logistic + slope * logistic * (1 - logistic)
    np.testing.assert_allclose(dx, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("op_type", ["GeluGradient", "LogisticUnitGradient", "SoftmaxGradient"])
def test_nan_and_dy_are_passed_on(op_type: str) -> None:
    x = np.array([np.nan, 0.5, -0.5], np.float32)
    (dx,) = run(op_type, [np.full(3, 2.0, np.float32), x], ["dx"])
    assert np.isnan(dx[0])
    if op_type != "SoftmaxGradient":
        (half,) = run(op_type, [np.ones(3, np.float32), x], ["dx"])
        np.testing.assert_array_equal(dx[1:], 2 * half[1:])


CALLS: dict[str, list[np.ndarray]] = {
    "LayerNormalizationGradient": of_layer_normalization((300, 129), 1),
    "SoftmaxGradient": [random_of((300, 129)).standard_normal((300, 129), np.float32)] * 2,
    "GeluGradient": [X, X],
    "LogisticUnitGradient": [X, X],
}


@pytest.mark.parametrize("op_type", CALLS)
def test_bits_do_not_depend_on_threads(op_type: str) -> None:
    names = ["dx", "d_scale", "d_shift"][: 3 if op_type.startswith("Layer") else 1]
    one, two = (run(op_type, CALLS[op_type], names, threads) for threads in (1, 2))
    for found, wanted in zip(one, two):
        np.testing.assert_array_equal(found, wanted)


ROWS = np.zeros((2, 3), np.float32)
REFUSED: dict[str, tuple[str, list[np.ndarray]]] = {
    "Y has shape": ("SoftmaxGradient", [ROWS, ROWS.T]),
    "X has shape": ("GeluGradient", [ROWS, ROWS.T]),
    "dY has shape": ("LayerNormalizationGradient", [ROWS.T, ROWS, ROWS[0], ROWS[:, 0], ROWS[:, 0]]),
    "the scale has shape": (
        "LayerNormalizationGradient",
        [ROWS, ROWS, ROWS[:, 0], ROWS[:, 0], ROWS[:, 0]],
    ),
    "input 3 has shape": (
        "LayerNormalizationGradient",
        [ROWS, ROWS, ROWS[0], ROWS[0], ROWS[:, 0]],
    ),
    "labels have shape": (
        "CrossEntropyGradient",
        [np.zeros((), np.float32), ROWS, np.zeros(3, np.int64)],
    ),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_shapes_that_do_not_fit_are_refused(sentence: str) -> None:
    op_type, arrays = REFUSED[sentence]
    outputs: Any = ["dx", "b", "c"][: 3 if op_type.startswith("Layer") else 1]
    with pytest.raises(Exception, match=sentence):
        run(op_type, arrays, outputs)


def test_a_label_that_is_no_class_writes_nothing_elsewhere() -> None:
    inputs = [
        np.ones((), np.float32),
        np.log(np.full((2, 3), 1 / 3, np.float32)),
        np.array([7, -9]),
    ]
    (dx,) = run("CrossEntropyGradient", inputs, ["dx"], mean=0)
    assert_close(dx, np.full((2, 3), 1 / 3))
