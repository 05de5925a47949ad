"""The optimizer graphs do what their formulas say, against NumPy in float64."""

from __future__ import annotations

from collections.abc import Callable

import models
import numpy as np
import pytest
from conftest import MakeTrainer

RATE = 0.05
STEPS = 5

Rule = Callable[[np.ndarray, list[np.ndarray]], np.ndarray]


def sgd(start: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    for gradient in gradients:
        start = start - RATE * gradient
    return start


def momentum(start: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    velocity = np.zeros_like(start)
    for gradient in gradients:
        velocity = 0.8 * velocity + gradient
        start = start - RATE * velocity
    return start


def rmsprop(start: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    square = np.zeros_like(start)
    for gradient in gradients:
        square = 0.9 * square + 0.1 * gradient**2
        start = start - RATE * gradient / (np.sqrt(square) + 1e-8)
    return start


def adamw(start: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    first, second = np.zeros_like(start), np.zeros_like(start)
    for step, gradient in enumerate(gradients, start=1):
        start = start * (1 - RATE * 0.01)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        root = np.sqrt(second / (1 - 0.999**step)) + 1e-8
        start = start - RATE * (first / (1 - 0.9**step)) / root
    return start


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"optimizer": "sgd"}, sgd),
        ({"optimizer": "momentum", "momentum": 0.8}, momentum),
        ({"optimizer": "rmsprop"}, rmsprop),
        ({"optimizer": "adamw", "weight_decay": 0.01}, adamw),
        ({"optimizer": "svgd"}, sgd),
        ({"optimizer": "svgd", "momentum": 0.8}, momentum),
    ],
    ids=["sgd", "momentum", "rmsprop", "adamw", "svgd", "svgd under momentum"],
)
def test_the_update_follows_its_formula(
    options: dict[str, object], rule: Rule, trainer_of: MakeTrainer
) -> None:
    model = models.gemm()
    trainer = trainer_of(model, **options)
    names = ["fc1.weight", "fc2.bias"]
    start = {name: trainer.tensor(name).astype(np.float64) for name in names}
    gradients: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for step in range(STEPS):
        trainer.train_step(models.examples(model, seed=step), learning_rate=RATE)
        for name in names:
            gradients[name].append(trainer.gradient(name).astype(np.float64))
    for name in names:
        expected = rule(start[name], gradients[name])
        moved = np.abs(expected - start[name]).max()
        assert moved > 0
        assert np.abs(trainer.tensor(name) - expected).max() <= 1e-5 * moved


def test_l1_adds_lambda_sign_w_to_weights_and_biases_only(trainer_of: MakeTrainer) -> None:
    model = models.mlp()
    plain, decayed = trainer_of(model), trainer_of(model, l1=0.25)
    for trainer in (plain, decayed):
        trainer.train_step(models.examples(model), learning_rate=0.0)
    for name in ("fc1.weight", "fc1.bias", "bn.scale", "bn.shift"):
        strength = 0.0 if name.startswith("bn.") else 0.25
        difference = decayed.gradient(name) - plain.gradient(name)
        np.testing.assert_allclose(difference, strength * np.sign(plain.tensor(name)), atol=1e-6)
