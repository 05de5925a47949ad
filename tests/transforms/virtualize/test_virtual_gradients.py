"""The gradients of the training session are the paper's virtual gradients.

Against an independent float64 implementation that knows nothing of onnxruntime or graph rewriting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import models
import numpy as np
import onnx
import pytest
from conftest import MakeTrainer
from reference import virtual_gradients

NETWORKS = [
    models.mlp,
    models.convolutional,
    models.large_outputs,
    models.residual,
    models.shared_weight,
    models.matmul_add,
    models.sequence,
]
TOLERANCE = 1e-5
STEPS = 3


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference over the largest expected value.

    A bias before BatchNormalization has gradient 0, in exact arithmetic; there the difference alone.
    """
    difference, largest = np.abs(actual - expected).max(), np.abs(expected).max()
    return float(difference if largest < 1e-12 else difference / largest)


# What `convert` is told, and what the reference is told in the same words.
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "default": ({}, {"method": "svgd"}),
    "all linear": ({"t_scope": ["all-linear"]}, {"method": "svgd all-linear"}),
    "channel": ({"granularity": "channel"}, {"method": "svgd", "channel": True}),
    "example": ({"gradient": "example"}, {"method": "svgd", "per_example": True}),
    "all": (
        {"t_scope": ["all-linear"], "granularity": "channel", "gradient": "example"},
        {"method": "svgd all-linear", "channel": True, "per_example": True},
    ),
    "twins": ({"encapsulation": "operators"}, {"method": "svgd"}),
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kernel", ["fused", "portable"])
@pytest.mark.parametrize("network", NETWORKS)
def test_virtual_gradients_equal_the_float64_reference(
    network: Callable[[], onnx.ModelProto], kernel: str, variant: str, trainer_of: MakeTrainer
) -> None:
    """Every parameter, the first layer's included, over several steps, r carried along."""
    model = network()
    settings = {"scale": 0.1, "rho": 0.8, "epsilon": 1e-4}
    options, described = VARIANTS[variant]
    trainer = trainer_of(model, t_kernel=kernel, **settings, **options)
    trainable = [item.name for item in trainer.manifest.parameters if item.trainable]
    states = None
    for step in range(STEPS):
        batch = models.examples(model, count=8, seed=step)
        loss = trainer.train_step(batch, learning_rate=0.0)
        expected = virtual_gradients(
            model,
            {name: array for name, array in batch.items() if name != "labels"},
            batch["labels"],
            loss="cross_entropy",
            output=trainer.manifest.logits,
            trainable=trainable,
            states=states,
            **described,
            **settings,
        )
        states = expected.states
        assert loss == pytest.approx(expected.loss, rel=1e-6)
        for name in trainable:
            error = relative_error(trainer.gradient(name), expected.gradients[name])
            assert error <= TOLERANCE, (name, step)
    used = {(item.parameter, item.output): item.state for item in trainer.manifest.operations}
    for key, state in states.items():
        error = relative_error(trainer.tensor(used[key]), state)
        assert error <= TOLERANCE, key


@pytest.mark.parametrize("network", [models.mlp, models.residual])
def test_without_t_the_gradients_are_the_ordinary_ones(
    network: Callable[[], onnx.ModelProto], trainer_of: MakeTrainer
) -> None:
    model = network()
    trainer = trainer_of(model, optimizer="sgd")
    batch = models.examples(model)
    trainer.train_step(batch, learning_rate=0.0)
    trainable = [item.name for item in trainer.manifest.parameters if item.trainable]
    expected = virtual_gradients(
        model,
        {name: array for name, array in batch.items() if name != "labels"},
        batch["labels"],
        loss="cross_entropy",
        output=trainer.manifest.logits,
        trainable=trainable,
        states=None,
        method="sgd",
        scale=1.0,
        rho=0.9,
        epsilon=1e-6,
    )
    for name in trainable:
        assert relative_error(trainer.gradient(name), expected.gradients[name]) <= TOLERANCE, name


def test_gemm_with_a_bias_and_matmul_with_an_add_give_the_same_gradients(
    trainer_of: MakeTrainer,
) -> None:
    gradients = []
    for network in (models.gemm, models.matmul_add):
        trainer = trainer_of(network())
        trainer.train_step(models.examples(network()), learning_rate=0.0)
        names = [item.name for item in trainer.manifest.parameters if item.trainable]
        gradients.append({name: trainer.gradient(name) for name in names})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        np.testing.assert_allclose(gradient, gradients[1][name], rtol=1e-6, atol=1e-9)


def test_t_acts_on_every_weight_and_on_no_bias(trainer_of: MakeTrainer) -> None:
    for network in NETWORKS:
        for operation in trainer_of(network()).manifest.operations:
            assert (operation.state is not None) == (operation.role == "weight"), operation
            assert operation.parameter.endswith("weight") == (operation.role == "weight")


def test_each_use_of_a_shared_weight_has_its_own_r(trainer_of: MakeTrainer) -> None:
    trainer = trainer_of(models.shared_weight())
    states = [
        item.state for item in trainer.manifest.operations if item.parameter == "shared.weight"
    ]
    assert len(set(states)) == 2
    trainer.train_step(models.examples(models.shared_weight()), learning_rate=0.1)
    first, second = (trainer.tensor(state) for state in states)
    assert not np.array_equal(first, second)


def test_running_statistics_are_updated_as_the_reference_says(trainer_of: MakeTrainer) -> None:
    model = models.mlp()
    trainer = trainer_of(model)
    batch = models.examples(model)
    trainer.train_step(batch, learning_rate=0.0)
    expected = virtual_gradients(
        model,
        {"x": batch["x"]},
        batch["labels"],
        loss="cross_entropy",
        output=trainer.manifest.logits,
        trainable=["fc1.weight"],
        states=None,
        method="sgd",
        scale=1.0,
        rho=0.9,
        epsilon=1e-6,
    )
    for name, statistic in expected.running_statistics.items():
        np.testing.assert_allclose(trainer.tensor(name), statistic, rtol=1e-5, atol=1e-7)
