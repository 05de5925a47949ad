"""Each loss and its gradient, against the float64 reference."""

from __future__ import annotations

import models
import numpy as np
import pytest
from conftest import MakeTrainer
from reference import virtual_gradients


@pytest.mark.parametrize(
    ("loss", "reference"), [("mse", "mse"), ("l1", "l1"), ("bce-with-logits", "bce_with_logits")]
)
def test_losses_of_one_value_a_target(loss: str, reference: str, trainer_of: MakeTrainer) -> None:
    model = models.regression()
    random = np.random.default_rng(0)
    x = random.normal(size=(8, models.FEATURES)).astype(np.float32)
    target = random.uniform(size=(8, 3)).astype(np.float32)
    trainer = trainer_of(model, loss=loss, optimizer="sgd")
    actual = trainer.train_step({"x": x, "target": target}, learning_rate=0.0)
    trainable = [item.name for item in trainer.manifest.parameters if item.trainable]
    expected = virtual_gradients(
        model,
        {"x": x},
        target,
        loss=reference,
        output="prediction",
        trainable=trainable,
        states=None,
        method="sgd",
        scale=1.0,
        rho=0.9,
        epsilon=1e-6,
    )
    assert actual == pytest.approx(expected.loss, rel=1e-6)
    for name in trainable:
        np.testing.assert_allclose(
            trainer.gradient(name), expected.gradients[name], rtol=1e-4, atol=1e-7
        )


def test_binary_cross_entropy_is_finite_and_exact_for_extreme_logits(
    trainer_of: MakeTrainer,
) -> None:
    """log(1 + e^x) overflows if it is computed as written; at 0 its derivative is 1/2."""
    trainer = trainer_of(
        models.regression(), loss="bce-with-logits", optimizer="sgd", freeze=["fc1*"]
    )
    x = np.zeros((1, models.FEATURES), np.float32)
    target = np.array([[0.0, 1.0, 0.0]], np.float32)
    bias = {item.name: trainer.tensor(item.name) for item in trainer.manifest.parameters}
    logits = np.tanh(bias["fc1.bias"]) @ bias["fc2.weight"] + bias["fc2.bias"]
    # one large step moves the first logit to about -1000 and the second to about +1000
    trainer.train_step({"x": x, "target": target}, learning_rate=6000.0)
    loss = trainer.train_step({"x": x, "target": target}, learning_rate=0.0)
    assert np.isfinite(loss)
    assert loss < np.log1p(np.exp(np.abs(logits))).sum()


def test_a_final_sigmoid_is_seen_through(trainer_of: MakeTrainer) -> None:
    x = np.random.default_rng(0).normal(size=(8, models.FEATURES)).astype(np.float32)
    target = (x[:, :3] > 0).astype(np.float32)
    batch = {"x": x, "target": target}
    with_sigmoid = trainer_of(models.regression("Sigmoid"), loss="bce-with-logits")
    without = trainer_of(models.regression(), loss="bce-with-logits")
    assert with_sigmoid.train_step(batch, 0.1) == without.train_step(batch, 0.1)
    assert with_sigmoid.evaluate(batch) == without.evaluate(batch)
