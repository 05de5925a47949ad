"""Gradients in float32 beside differences of a loss: right ones are never called wrong, wrong ones are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from svgd_onnx.conversion.loss_changes import Findings, LossChanges

SEEDS = range(5)


def compare(
    loss: Callable[[], float],
    values: dict[str, np.ndarray],
    gradients: dict[str, np.ndarray],
    seed: int = 0,
) -> Findings:
    """What is found at first sight and then."""
    changes = LossChanges(loss, loss(), values, gradients, np.random.default_rng(seed))
    doubtful, unresolved = changes.first_sight()
    found = changes.findings(doubtful)
    return Findings(found.wrong, [*unresolved, *found.unresolved])


class TwoLayers:
    """mean (f(x w + b) v - t)^2 in float32, and its gradients as they are written on paper."""

    def __init__(self, seed: int, *, relu: bool) -> None:
        random = np.random.default_rng(seed)
        self._relu = relu
        self._x, self._target = (
            random.normal(size=(4, size)).astype(np.float32) for size in (8, 3)
        )
        shapes: dict[str, tuple[int, ...]] = {"w": (8, 64), "b": (64,), "v": (64, 3)}
        self.values = {
            name: (0.3 * random.normal(size=shape)).astype(np.float32)
            for name, shape in shapes.items()
        }

    def loss(self) -> float:
        values = self.values
        hidden = self._activation(self._x @ values["w"] + values["b"])
        return float(np.mean((hidden @ values["v"] - self._target) ** 2, dtype=np.float32))

    def gradients(self) -> dict[str, np.ndarray]:
        before = self._x @ self.values["w"] + self.values["b"]
        hidden = self._activation(before)
        error = 2 * (hidden @ self.values["v"] - self._target) / self._target.size
        slope = before > 0 if self._relu else 1 - hidden**2
        back = (error @ self.values["v"].T) * slope
        return {
            "w": (self._x.T @ back).astype(np.float32),
            "b": back.sum(0).astype(np.float32),
            "v": (hidden.T @ error).astype(np.float32),
        }

    def _activation(self, value: np.ndarray) -> np.ndarray:
        return np.maximum(value, 0) if self._relu else np.tanh(value)


@pytest.mark.parametrize("relu", [False, True], ids=["tanh", "relu"])
@pytest.mark.parametrize("seed", SEEDS)
def test_right_gradients_are_right(seed: int, relu: bool) -> None:
    network = TwoLayers(seed, relu=relu)
    found = compare(network.loss, network.values, network.gradients())
    assert not found.wrong
    assert not found.unresolved


BROKEN: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "5 per cent more": lambda gradient: gradient * np.float32(1.05),
    "twice": lambda gradient: 2 * gradient,
    "negative": np.negative,
    "none": np.zeros_like,
    "of other rows": lambda gradient: gradient[::-1].copy(),
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("name", ["w", "v"])
@pytest.mark.parametrize("seed", SEEDS)
def test_wrong_gradients_are_named(name: str, how: str, seed: int) -> None:
    network = TwoLayers(seed, relu=False)
    gradients = network.gradients()
    gradients[name] = BROKEN[how](gradients[name])
    found = compare(network.loss, network.values, gradients)
    assert list(found.wrong) == [name]


def test_a_smooth_loss_is_taken_twice_in_each_of_two_directions() -> None:
    network = TwoLayers(0, relu=False)
    runs = []

    def loss() -> float:
        runs.append(network.loss())
        return runs[-1]

    assert not compare(loss, network.values, network.gradients()).wrong
    assert len(runs) == 1 + 2 * 2


def test_parameters_come_back_to_where_they_were() -> None:
    network = TwoLayers(0, relu=True)
    before = {name: value.copy() for name, value in network.values.items()}
    gradients = network.gradients()
    gradients["w"] *= 2
    compare(network.loss, network.values, gradients)
    for name, value in network.values.items():
        np.testing.assert_allclose(value, before[name], rtol=0, atol=1e-6)


def test_a_wrong_gradient_among_many_is_named() -> None:
    """All move at once, and none hides behind the others."""
    random = np.random.default_rng(0)
    values = {f"w{index}": random.normal(size=20).astype(np.float32) for index in range(40)}

    def loss() -> float:
        return float(np.float32(sum(np.sum(np.square(each)) for each in values.values()) / 800))

    gradients = {name: value / np.float32(400) for name, value in values.items()}
    gradients["w7"] = gradients["w7"] * np.float32(2)
    assert list(compare(loss, values, gradients).wrong) == ["w7"]


def test_a_jump_of_the_loss_speaks_against_no_gradient() -> None:
    """As of a Floor, whose derivative is 0 wherever it has one."""
    values = {"w": np.linspace(0, 1, 50, dtype=np.float32)}

    def loss() -> float:
        return float(np.mean(np.floor(40 * values["w"])))

    gradients = {"w": np.zeros(50, np.float32)}
    assert not compare(loss, values, gradients).wrong


def test_a_kink_at_the_middle_speaks_against_no_gradient() -> None:
    values = {"w": np.zeros(50, np.float32)}
    weights = np.random.default_rng(1).normal(size=50)

    def loss() -> float:
        return float(np.sum(weights * np.maximum(values["w"], 0)))

    gradients = {"w": np.zeros(50, np.float32)}
    for seed in range(20):
        assert not compare(loss, values, gradients, seed).wrong
