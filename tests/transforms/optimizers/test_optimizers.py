"""The optimizers do what their formulas say, against NumPy in float64, in each form that they have."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import models
import numpy as np
import onnx
import pytest
from conftest import MakeTrainer

from svgd_onnx.errors import UserError
from svgd_onnx.targets import TARGETS
from svgd_onnx.transforms.optimizers import OPTIMIZER_NAMES, OPTIMIZERS, update_rule

RATE = 0.05
STEPS = 5

Rule = Callable[[np.ndarray, list[np.ndarray]], np.ndarray]


def sgd(start: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    for gradient in gradients:
        start = start - RATE * gradient
    return start


def momentum(of: float) -> Rule:
    def rule(start: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
        velocity = np.zeros_like(start)
        for gradient in gradients:
            velocity = of * velocity + gradient
            start = start - RATE * velocity
        return start

    return rule


def rmsprop(start: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    square = np.zeros_like(start)
    for gradient in gradients:
        square = 0.9 * square + 0.1 * gradient**2
        start = start - RATE * gradient / (np.sqrt(square) + 1e-8)
    return start


def adamw(weight_decay: float) -> Rule:
    def rule(start: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
        first, second = np.zeros_like(start), np.zeros_like(start)
        for step, gradient in enumerate(gradients, start=1):
            start = start * (1 - RATE * weight_decay)
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            root = np.sqrt(second / (1 - 0.999**step)) + 1e-8
            start = start - RATE * (first / (1 - 0.9**step)) / root
        return start

    return rule


def nesterov(of: float) -> Rule:
    def rule(start: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
        velocity = np.zeros_like(start)
        for gradient in gradients:
            velocity = of * velocity + gradient
            start = start - RATE * (gradient + of * velocity)
        return start

    return rule


def lamb(weight_decay: float) -> Rule:
    def rule(start: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
        first, second = np.zeros_like(start), np.zeros_like(start)
        for step, gradient in enumerate(gradients, start=1):
            first = 0.9 * first + 0.1 * gradient
            second = 0.999 * second + 0.001 * gradient**2
            root = np.sqrt(second / (1 - 0.999**step)) + 1e-6
            direction = (first / (1 - 0.9**step)) / root + weight_decay * start
            ratio = np.linalg.norm(start) / np.linalg.norm(direction)
            start = start - RATE * ratio * direction
        return start

    return rule


def adafactor(start: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    rows = columns = whole = np.zeros(1)
    for step, gradient in enumerate(gradients, start=1):
        decay = 1 - step**-0.8
        square = gradient**2 + 1e-30
        whole = decay * whole + (1 - decay) * square
        estimate = whole
        if start.ndim > 1:
            rows = decay * rows + (1 - decay) * square.mean(-1)
            columns = decay * columns + (1 - decay) * square.mean(-2)
            estimate = rows[:, None] * columns[None, :] / rows.mean()
        direction = gradient / np.sqrt(estimate)
        start = start - RATE * direction / max(1, np.sqrt((direction**2).mean()))
    return start


def decayed(rule: Rule, weight_decay: float) -> Rule:
    """Of a rule whose directions are without memory of parameters."""

    def with_decay(start: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
        for count in range(1, len(gradients) + 1):
            zero = np.zeros_like(start)
            direction = rule(zero, gradients[: count - 1]) - rule(zero, gradients[:count])
            start = start - direction - RATE * weight_decay * start
        return start

    return with_decay


def lion(weight_decay: float) -> Rule:
    def rule(start: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
        moment = np.zeros_like(start)
        for gradient in gradients:
            direction = np.sign(0.9 * moment + 0.1 * gradient)
            start = start - RATE * (direction + weight_decay * start)
            moment = 0.99 * moment + 0.01 * gradient
        return start

    return rule


SETTINGS: list[tuple[str, dict[str, Any], Rule]] = [
    ("sgd", {}, sgd),
    ("sgd", {"weight_decay": 0.1}, decayed(sgd, 0.1)),
    ("momentum", {}, momentum(0.9)),
    ("momentum", {"momentum": 0.8}, momentum(0.8)),
    ("momentum", {"momentum": 0.0}, momentum(0.0)),
    ("momentum", {"weight_decay": 0.1}, decayed(momentum(0.9), 0.1)),
    ("nesterov", {}, nesterov(0.9)),
    ("nesterov", {"momentum": 0.8}, nesterov(0.8)),
    ("nesterov", {"weight_decay": 0.1}, decayed(nesterov(0.9), 0.1)),
    ("rmsprop", {}, rmsprop),
    ("rmsprop", {"weight_decay": 0.1}, decayed(rmsprop, 0.1)),
    ("adam", {}, adamw(0.0)),
    ("adamw", {}, adamw(0.0)),
    ("adamw", {"weight_decay": 0.1}, adamw(0.1)),
    ("adamw", {"weight_decay": {"*": 0.1}}, adamw(0.1)),
    ("lamb", {}, lamb(0.0)),
    ("lamb", {"weight_decay": 0.1}, lamb(0.1)),
    ("adafactor", {}, adafactor),
    ("adafactor", {"weight_decay": 0.1}, decayed(adafactor, 0.1)),
    ("lion", {}, lion(0.0)),
    ("lion", {"weight_decay": 0.1}, lion(0.1)),
    ("svgd", {}, sgd),
    ("svgd", {"momentum": 0.8}, momentum(0.8)),
    ("svgd", {"momentum": 0.0}, sgd),
    ("svgd", {"weight_decay": 0.1}, decayed(sgd, 0.1)),
    ("svgd", {"momentum": 0.8, "weight_decay": 0.1}, decayed(momentum(0.8), 0.1)),
]
"""What to ask for, and what then happens; of each form."""


def affine() -> onnx.ModelProto:
    """The sum of scale * x + shift: x (batch, 3, 4) -> total ().

    Its gradients are known before any step, and T is the identity on both parameters.
    """
    net = models.Network()
    scaled = net.node("Mul", "x", net.weight("scale", 3, 4, mean=1.0))
    net.node(
        "ReduceSum", net.node("Add", scaled, net.weight("shift", 4)), output="total", keepdims=0
    )
    return net.model({"x": ("batch", 3, 4)}, {"total": ()})


CASES = [
    pytest.param(target.name, optimizer, options, rule, id=f"{target.name} {optimizer} {options}")
    for target in TARGETS.values()
    for optimizer, options, rule in SETTINGS
]


@pytest.mark.parametrize(("target", "optimizer", "options", "rule"), CASES)
def test_the_update_follows_its_formula(
    target: str, optimizer: str, options: dict[str, Any], rule: Rule, trainer_of: MakeTrainer
) -> None:
    trainer = trainer_of(affine(), loss="none", optimizer=optimizer, target=target, **options)
    x = np.random.default_rng(0).standard_normal((STEPS, 2, 3, 4)).astype(np.float32)
    start = {name: np.array(trainer.tensor(name), np.float64) for name in ("scale", "shift")}
    for batch in x:
        trainer.train_step({"x": batch}, learning_rate=RATE)
    gradients = {
        "scale": [batch.sum(axis=0, dtype=np.float64) for batch in x],
        "shift": [np.full(4, 6.0) for _ in x],
    }
    for name, before in start.items():
        expected = rule(before, gradients[name])
        moved = np.abs(expected - before).max()
        assert moved > 0
        assert np.abs(trainer.tensor(name) - expected).max() <= 1e-5 * moved


@pytest.mark.parametrize("target", TARGETS)
def test_adafactor_of_a_row_and_a_column_without_gradient(
    target: str, trainer_of: MakeTrainer
) -> None:
    """As of units that are never active: their means, 1e-30 each, have no product in float32."""
    trainer = trainer_of(affine(), loss="none", optimizer="adafactor", target=target)
    before = np.array(trainer.tensor("scale"), np.float64)
    x = np.random.default_rng(0).standard_normal((STEPS, 2, 3, 4)).astype(np.float32)
    x[:, :, 1] = x[..., 2] = 0
    for batch in x:
        assert np.isfinite(trainer.train_step({"x": batch}, learning_rate=RATE))
    expected = adafactor(before, [batch.sum(axis=0, dtype=np.float64) for batch in x])
    np.testing.assert_allclose(trainer.tensor("scale"), expected, rtol=1e-5)


def test_the_settings_reach_every_optimizer_and_every_option() -> None:
    reached = {(name, option) for name, options, _ in SETTINGS for option in (None, *options)}
    assert reached >= {(name, None) for name in OPTIMIZER_NAMES}
    assert reached >= {(name, option) for name in OPTIMIZERS for option in OPTIMIZERS[name].options}


@pytest.mark.parametrize("rule", [{}, {"momentum": 0.8}], ids=["svgd", "svgd under momentum"])
def test_svgd_updates_by_the_virtual_gradient(
    rule: dict[str, Any], trainer_of: MakeTrainer
) -> None:
    model = models.gemm()
    trainer = trainer_of(model, **rule)
    names = ["fc1.weight", "fc2.bias"]
    start = {name: trainer.tensor(name).astype(np.float64) for name in names}
    gradients: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for step in range(STEPS):
        trainer.train_step(models.examples(model, seed=step), learning_rate=RATE)
        for name in names:
            gradients[name].append(trainer.gradient(name).astype(np.float64))
    for name in names:
        expected = momentum(rule.get("momentum", 0.0))(start[name], gradients[name])
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


class TestUpdateRule:
    """The rule that an optimizer's name and options ask for."""

    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_an_optimizer_is_its_own(self, name: str) -> None:
        assert update_rule(name, {}) == (name, OPTIMIZERS[name].defaults)

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({}, ("sgd", {})),
            ({"momentum": 0.5}, ("momentum", {"momentum": 0.5})),
            ({"momentum": 0.0}, ("sgd", {})),
        ],
        ids=str,
    )
    def test_svgd_has_the_simplest_that_will_do(
        self, given: dict[str, float], expected: tuple[str, dict[str, float]]
    ) -> None:
        assert update_rule("svgd", given) == expected

    def test_options_take_the_place_of_defaults(self) -> None:
        _, values = update_rule("nesterov", {"momentum": 0.5})
        assert values == {**OPTIMIZERS["nesterov"].defaults, "momentum": 0.5}
        assert update_rule("momentum", {"momentum": 0.0}) == ("momentum", {"momentum": 0.0})

    @pytest.mark.parametrize("name", OPTIMIZERS)
    def test_options_are_hyper_parameters_within_their_range(self, name: str) -> None:
        rule = OPTIMIZERS[name]
        assert rule.options.keys() <= rule.defaults.keys()
        for option, known in rule.options.items():
            known.check(option, rule.defaults[option])

    @pytest.mark.parametrize(
        ("optimizer", "given", "sentence"),
        [
            (
                "adamax",
                {},
                f"Unknown --optimizer 'adamax': choose from {', '.join(OPTIMIZER_NAMES)}.",
            ),
            (
                "momentum",
                {"momentum": 1.0},
                "--momentum is 1.0, but must be at least 0 and below 1.",
            ),
            ("svgd", {"momentum": -0.5}, "--momentum is -0.5, but must be at least 0 and below 1."),
            ("rmsprop", {"momentum": 0.5}, "--momentum does not go with the optimizer rmsprop."),
        ],
        ids=str,
    )
    def test_what_is_refused(self, optimizer: str, given: dict[str, float], sentence: str) -> None:
        with pytest.raises(UserError) as refused:
            update_rule(optimizer, given)
        assert refused.value.on_command_line() == sentence


def test_they_answer_where_neither_onnx_nor_onnx_ir_is() -> None:
    script = """
import sys
sys.modules.update(dict.fromkeys(["onnx", "onnx_ir"]))  # importing either fails
from svgd_onnx.transforms.optimizers import OPTIMIZERS, update_rule
for name in OPTIMIZERS:
    rule, values = update_rule(name, {})
    print(rule, OPTIMIZERS[rule].state_size((3, 4)), *values.values())
"""
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert process.stdout.splitlines() == [
        " ".join(map(str, [name, each.state_size((3, 4)), *each.defaults.values()]))
        for name, each in OPTIMIZERS.items()
    ], process.stderr
